"""Sealed: bytes in memory that nobody can change any more, to be passed to another process."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path
from typing import ClassVar, Self

LEAST = 128 << 10
"""Bytes below which sending them is faster than passing a descriptor."""
MOST = 128 << 20
"""Bytes of one; more is sent."""
MOST_IN_ALL = 256 << 20
"""Bytes of all that there are in this process, as this is memory that no disk stands in for."""
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_PIECE = 1 << 20


def may_pass(size: int) -> bool:
    """Whether so many bytes are better passed than sent, and there is room for them."""
    return LEAST <= size <= MOST and Sealed.held + size <= MOST_IN_ALL


class Sealed:
    """A file in memory: append to it, seal it, and pass its descriptor on.

    Whoever gets that can read it, and only that. It is closed when nobody has this any more: a
    thread or a call may go on when who began it has given up. Making one and appending to it raise
    `OSError` where there is no memory.
    """

    held: ClassVar[int] = 0
    """Bytes that all of them may have."""
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, size: int) -> None:
        self.size = size
        self.descriptor = os.memfd_create("deepd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self.inode = os.fstat(self.descriptor).st_ino
        self._count(size)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            self.close()

    def close(self) -> None:
        """Let go of it before everybody has: nobody will use it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            self._count(-self.size)

    @classmethod
    def of_bytes(cls, data: bytes) -> Self:
        """Return one that holds these bytes."""
        sealed = cls(len(data))
        sealed.append(data)
        sealed.seal()
        return sealed

    @classmethod
    def of_file(cls, path: Path, size: int, sha256: str) -> Self | None:
        """Return one that holds what is in a file; `None` when its size or hash is another."""
        sealed, digest = cls(size), hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                sealed.append(piece)
        return sealed if sealed.seal() and digest.hexdigest() == sha256 else None

    def append(self, data: bytes | bytearray) -> None:
        """Put bytes at its end."""
        write_all(self.descriptor, data)

    def seal(self) -> bool:
        """Let nobody change it any more; `False` when it has not the size that it was to have."""
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        return os.fstat(self.descriptor).st_size == self.size

    def copy_to(self, file: FileIO) -> None:
        """Write its bytes to a file, which is closed then."""
        with file:
            at = 0
            while at < self.size:
                at += os.sendfile(file.fileno(), self.descriptor, at, self.size - at)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield its bytes, for a sandbox that it cannot be passed to."""
        for at in range(0, self.size, _PIECE):
            yield os.pread(self.descriptor, _PIECE, at)

    @classmethod
    def _count(cls, size: int) -> None:
        with cls._lock:
            Sealed.held += size


def write_all(descriptor: int, data: bytes | bytearray) -> None:
    """Write all of some bytes."""
    with memoryview(data) as left:
        written = 0
        while written < len(left):
            written += os.write(descriptor, left[written:])
