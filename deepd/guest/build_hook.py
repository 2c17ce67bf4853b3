"""Compile the guest when deepd is built: for this machine, or for those in DEEPD_GUEST_TARGETS."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_HERE = Path("deepd/guest")
_WHEEL_MACHINES = {"x86_64": "manylinux_2_17_x86_64", "aarch64": "manylinux_2_17_aarch64"}
"""The guest is static, so what it needs is the oldest kernel and not a C library."""


def _load(root: Path) -> ModuleType:
    """Import binary.py from the source tree: deepd is not installed while it is built."""
    spec = importlib.util.spec_from_file_location("deepd_guest_binary", root / _HERE / "binary.py")
    if spec is None or spec.loader is None:
        raise ImportError("deepd/guest/binary.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class GuestBuildHook(BuildHookInterface[Any]):
    """Puts `deepd/guest/bin/guest-<machine>` in the wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for a compiler from PyPI where this machine has none that will do."""
        if self.target_name != "wheel" or sys.platform != "linux":
            return []
        binary = _load(Path(self.root))
        if not os.environ.get("DEEPD_GUEST_TARGETS", "").split() and (
            binary.is_current(self._made(binary.machine_name())) or binary.has_native_compiler()
        ):
            return []
        return ["ziglang>=0.12"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; an editable install may fail to, as the first use compiles too."""
        if self.target_name != "wheel" or sys.platform != "linux":
            return
        binary = _load(Path(self.root))
        targets = os.environ.get("DEEPD_GUEST_TARGETS", "").split()
        if version == "editable":
            self._compile_native(binary)
            return
        for machine in targets or [binary.machine_name()]:
            made = self._compile(binary, machine, native=not targets)
            for path in (made, binary.stamp_of(made)):
                build_data["force_include"][str(path)] = str(_HERE / "bin" / path.name)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{self._platform(binary, targets)}"

    def _platform(self, binary: ModuleType, targets: list[str]) -> str:
        """Name the machine that deepd runs on; guests of others come along for remote engines."""
        machine = binary.machine_name()
        if targets and set(targets) >= set(_WHEEL_MACHINES):
            return ".".join(_WHEEL_MACHINES.values())
        return _WHEEL_MACHINES.get(machine, f"linux_{machine}")

    def _compile_native(self, binary: ModuleType) -> None:
        try:
            self._compile(binary, binary.machine_name(), native=True)
        except (binary.CompileError, OSError) as error:
            self.app.display_warning(f"the guest is compiled at its first use: {error}")

    def _compile(self, binary: ModuleType, machine: str, *, native: bool) -> Path:
        """Return the guest of a machine; one for this machine is compiled once for its sources."""
        made = self._made(machine)
        if not (native and binary.is_current(made)):
            binary.compile_guest(machine, made, native=native)
            binary.stamp_of(made).write_text(binary.sources_hash() + "\n")
        return made

    def _made(self, machine: str) -> Path:
        return Path(self.root) / _HERE / "bin" / f"guest-{machine}"
