"""Owner: one process at a time speaks to a sandbox's guest."""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
from pathlib import Path

from deepd.errors import OwnedError
from deepd.model.ids import ContainerId

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class OwnerLock:
    """The lock of one container: held until `release()`, or until the process ends in any way."""

    def __init__(self, folder: Path, container: ContainerId) -> None:
        if not _NAME.fullmatch(container):
            raise ValueError(f"{container!r} is not a container's id")
        self._path = folder / f"{container}.lock"
        self._container = container
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take it now, or raise `OwnedError` that names who has it."""
        if self._fd is not None:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while (fd := self._lock()) is None:
            pass
        holder = json.dumps({"pid": os.getpid(), "program": Path(sys.argv[0] or "python").name})
        os.ftruncate(fd, 0)
        os.pwrite(fd, holder.encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give it back; not held is no error."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            # Before it is unlocked, so that nobody holds a file that is not there any more.
            self._path.unlink(missing_ok=True)
            os.close(fd)

    def disown(self) -> None:
        """Close a forked child's copy of the lock, which stays the parent's alone."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def __enter__(self) -> OwnerLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _lock(self) -> int | None:
        """Return the locked file, or `None` when it was removed before it was locked."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            error = self._owned(os.pread(fd, 4096, 0))
            os.close(fd)
            raise error from None
        except BaseException:
            os.close(fd)
            raise
        try:
            current = self._path.lstat()
        except FileNotFoundError:
            current = None
        locked = os.fstat(fd)
        if current is None or (current.st_dev, current.st_ino) != (locked.st_dev, locked.st_ino):
            os.close(fd)
            return None
        return fd

    def _owned(self, content: bytes) -> OwnedError:
        try:
            holder = json.loads(content)
            named = f"{str(holder['program'])[:80]} (pid {int(holder['pid'])})"
        except (ValueError, TypeError, KeyError):
            named = "another process"
        return OwnedError(
            f"the sandbox {self._container[:12]} is in use by {named}",
            next_step="use it through that process, or end that process first",
        )
