"""Box: the folder of one local sandbox, which tells all about it, whoever made and started it.

spec      what it was created from, as JSON
stdin     the guest's own, two named pipes that the guest holds open for as long as it lives
stdout
status    what its monitor says: the guest's process id, and later how it ended
log       what the guest and its monitor complain about
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepd.engine.processes import process_state
from deepd.model.ids import ContainerId, ProfileName, SessionName
from deepd.model.profile import Limits, Local, Security, Volume
from deepd.model.sandbox import SandboxSpec, SandboxState

KILLED = 137
"""The exit code of a guest of which nobody could say how it ended."""
_LOG_LIMIT = 4096
_STATUS_LIMIT = 64 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of a sandbox, and changes only by a claim or an update."""

    spec: SandboxSpec
    name: str
    created_at: float
    isolation: str
    """The level that it was created for, in words."""
    limits: Limits


class Box:
    """One folder; knows nothing that is not in it or in the process table."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = ContainerId(folder.name)
        self.stdin, self.stdout = folder / "stdin", folder / "stdout"
        self.status, self.log = folder / "status", folder / "log"

    def make(self, entry: Entry) -> None:
        """Make the folder; it is nobody's sandbox before its entry is in it."""
        self.folder.mkdir(mode=0o700)
        os.mkfifo(self.stdin, 0o600)
        os.mkfifo(self.stdout, 0o600)
        self.save(entry)

    def save(self, entry: Entry) -> None:
        """Keep the entry, whole or not at all."""
        written = self.folder / "spec.new"
        written.write_text(json.dumps(dataclasses.asdict(entry), default=str))
        written.replace(self.folder / "spec")

    def load(self) -> Entry | None:
        """Return the entry; `None` when there is none, as while it is made or removed."""
        try:
            return _read_entry(json.loads((self.folder / "spec").read_text()))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def is_alive(self) -> bool:
        """Tell whether the guest, or its monitor, still has the pipes open."""
        try:
            os.close(os.open(self.stdin, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            return False
        return True

    def guest(self) -> int:
        """Return a descriptor of the guest's process; `ProcessLookupError` when it has ended.

        A process that is alive keeps its number: so the number is read, the process is held, and
        then it is looked whether the guest lives, in this order.
        """
        descriptor = os.pidfd_open(self.pid())
        if not self.is_alive():
            os.close(descriptor)
            raise ProcessLookupError
        return descriptor

    def pid(self) -> int:
        """Return the guest's process id; `ProcessLookupError` when it has none."""
        return _pid(self._said())

    def state(self) -> SandboxState:
        """Return how the sandbox does."""
        if not self.status.exists():
            return SandboxState.CREATED
        said = self._said()
        with suppress(ProcessLookupError):
            pid = _pid(said)
            if "exit-code" not in said and self.is_alive():
                letter = process_state(pid)
                if letter in {"T", "t"}:
                    return SandboxState.PAUSED
                if letter not in {"", "Z", "X"}:
                    return SandboxState.RUNNING
        return SandboxState.STOPPED

    def exit_code(self) -> int:
        """Return how the guest ended."""
        code = self._said().get("exit-code")
        return code if isinstance(code, int) else KILLED

    def complaints(self) -> str:
        """Return the end of what the guest and its monitor complained about."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - _LOG_LIMIT))
                return log.read(_LOG_LIMIT).decode(errors="replace").strip()
        except OSError:
            return ""

    def _said(self) -> dict[str, Any]:
        """Return what the monitor said so far; its last line may still be on its way."""
        said: dict[str, Any] = {}
        with suppress(OSError), self.status.open(encoding="utf-8") as status:
            for line in status.read(_STATUS_LIMIT).splitlines():
                with suppress(ValueError):
                    said |= json.loads(line)
        return said


def _pid(said: Mapping[str, Any]) -> int:
    pid = said.get("child-pid")
    if not isinstance(pid, int) or pid <= 1:
        raise ProcessLookupError
    return pid


def _read_entry(stored: dict[str, Any]) -> Entry:
    spec = stored["spec"]
    return Entry(
        spec=SandboxSpec(
            **spec
            | {
                "session": SessionName(spec["session"]) if spec["session"] else None,
                "profile": ProfileName(spec["profile"]),
                "workspace": Path(spec["workspace"]) if spec["workspace"] else None,
                "volumes": tuple(Volume(**volume) for volume in spec["volumes"]),
                "limits": Limits(**spec["limits"]),
                "security": _read_security(spec["security"]),
                "local": Local(**spec["local"]),
            }
        ),
        name=stored["name"],
        created_at=stored["created_at"],
        isolation=stored["isolation"],
        limits=Limits(**stored["limits"]),
    )


def _read_security(stored: dict[str, Any]) -> Security:
    return Security(**stored | {"cap_add": tuple(stored["cap_add"])})
