"""Whether a process is there, without a signal that it could notice."""

from __future__ import annotations

import os


def is_alive(pid: int) -> bool:
    """Return whether the process runs; a zombie does not."""
    if pid <= 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _state(pid) != "Z"


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - pathlib costs more than this
            return file.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
