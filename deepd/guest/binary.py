"""The compiled guest: from the wheel, or from its sources into a cache; needs no deepd to build."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
MACHINES = ("x86_64", "aarch64")
_ALIASES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "armv8": "aarch64"}
_FLAGS = ("-static", "-O2", "-s", "-std=gnu11", "-Wall")
_COMPILE_TIMEOUT = 1800.0
"""Seconds: zig makes its C library first, which takes a busy machine many minutes."""
_MAX_LINES = 10


class CompileError(Exception):
    """No compiler could make the guest; the text is what each of them said."""


def machine_name(machine: str | None = None) -> str:
    """Return the machine's name as in the guest's file; an engine may say `amd64` or `arm64`."""
    name = (machine or platform.machine()).lower()
    return _ALIASES.get(name, name)


def sources() -> list[Path]:
    """Return the guest's sources, in a stable order."""
    return sorted([*HERE.glob("*.c"), *HERE.glob("*.h")])


def sources_hash() -> str:
    """Return a hash over the sources and how they are compiled."""
    digest = hashlib.sha256(" ".join(_FLAGS).encode())
    for source in sources():
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def compilers(machine: str, *, native: bool = True) -> list[list[str]]:
    """Return the commands that may compile for a machine, best first."""
    found = []
    if native and machine == machine_name():
        found.append([os.environ.get("CC", "cc")])
    if find_spec("ziglang") is not None:
        found.append([sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-musl"])
    return found


def has_native_compiler() -> bool:
    """Tell whether this machine's own compiler makes static programs."""
    with tempfile.TemporaryDirectory(prefix="deepd-cc-") as folder:
        source = Path(folder) / "empty.c"
        source.write_text("int main(void) { return 0; }\n")
        compiler = os.environ.get("CC", "cc")
        return not _run([compiler, "-static", "-o", f"{folder}/empty", str(source)])


def compile_guest(machine: str, target: Path, *, native: bool = True) -> None:
    """Compile the guest to a file, whole or not at all; else `CompileError`."""
    units = [str(path) for path in sources() if path.suffix == ".c"]
    target.parent.mkdir(parents=True, exist_ok=True)
    said = []
    for compiler in compilers(machine, native=native):
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".guest-") as folder:
            made = Path(folder) / "guest"
            failure = _run([*compiler, *_FLAGS, "-o", str(made), *units])
            if not failure:
                made.chmod(0o755)
                made.replace(target)  # of two processes the last one wins, with the same bytes
                return
            said.append(f"{' '.join(compiler)}: {failure}")
    raise CompileError("\n".join(said) or f"there is no compiler for {machine}")


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMPILE_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = (done.stderr or done.stdout).strip().splitlines()
    return "\n".join(lines[:_MAX_LINES]) or f"it ended with {done.returncode}"


def guest_binary(machine: str | None = None) -> Path:
    """Return the guest for a machine, compiled first where that is needed; else `DeepdError`."""
    from deepd.errors import DeepdError  # noqa: PLC0415 - a build has no deepd to import

    name = machine_name(machine)
    packed = HERE / "bin" / f"guest-{name}"
    if is_current(packed):
        return packed
    cached = _cache_dir() / f"guest-{name}-{sources_hash()}"
    if cached.is_file():
        return cached
    try:
        compile_guest(name, cached)
    except (CompileError, OSError) as error:
        raise DeepdError(
            f"the guest for {name} is not there and cannot be compiled: {error}",
            next_step="install gcc with a static C library, or `pip install ziglang`",
        ) from error
    return cached


def guest_hash(machine: str | None = None) -> str:
    """Return a short hash of the guest's bytes, for the name of the volume that carries it."""
    return hashlib.sha256(guest_binary(machine).read_bytes()).hexdigest()[:12]


def is_current(packed: Path) -> bool:
    """Tell whether a guest is there and was compiled from the sources as they are."""
    try:
        return packed.is_file() and stamp_of(packed).read_text().strip() == sources_hash()
    except OSError:
        return False


def stamp_of(packed: Path) -> Path:
    """Return the file beside a guest that says which sources it was compiled from."""
    return packed.with_name(packed.name + ".sources")


def _cache_dir() -> Path:
    base = os.environ.get("DEEPD_GUEST_CACHE") or os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "deepd"
