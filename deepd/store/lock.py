"""FolderLock: one daemon per state folder, by flock, so that it goes with the process."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from deepd.errors import OwnedError

_DYING = 2.0
"""Seconds that a killed daemon's lock may outlive it: what it was just starting has it too."""
_PAUSE = 0.02


class FolderLock:
    """Held from creation to `close()`; the file names the holder's pid for people."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "deepd.lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o600)
        deadline = time.monotonic() + _DYING
        while not self._try():
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            if time.monotonic() < deadline and not _is_there(holder):
                time.sleep(_PAUSE)
                continue
            os.close(self._descriptor)
            raise OwnedError(
                f"another deepd (pid {holder or 'unknown'}) uses the state folder {folder}",
                next_step="use that one, stop it with `deepd stop`, or set DEEPD_STATE_DIR",
            )
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let another process have it; the file stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _is_there(holder: str) -> bool:
    """Tell whether the process is there that a lock's file names; when in doubt it is."""
    return not holder.isdecimal() or Path(f"/proc/{holder}").exists()
