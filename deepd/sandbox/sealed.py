"""Sealed: bytes that nobody can change any more, to be passed to a sandbox on this machine."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

LEAST = 128 << 10
"""Bytes below which sending them is faster than passing a descriptor."""
MOST = 128 << 20
"""Bytes above which they are sent, as what is sealed is in memory."""
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_PIECE = 1 << 20


def may_pass(size: int) -> bool:
    """Whether so many bytes are better passed than sent."""
    return LEAST <= size <= MOST


class Sealed:
    """A file in memory that is complete: whoever gets its descriptor can read it, and only that.

    For use by `with`, or with `close()`. Making one raises `OSError` where there is no memory.
    """

    def __init__(self, memory: io.FileIO) -> None:
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
        memory.seek(0)
        status = os.fstat(memory.fileno())
        self.size = status.st_size
        self.inode = status.st_ino
        self._memory = memory

    @classmethod
    def of_bytes(cls, data: bytes) -> Self:
        """Return one that holds these bytes."""
        memory = _open_memory()
        _write_all(memory, data)
        return cls(memory)

    @classmethod
    def of_file(cls, path: Path, sha256: str) -> Self | None:
        """Return one that holds what is in a file, `None` when its hash is another."""
        memory, digest = _open_memory(), hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                _write_all(memory, piece)
        sealed = cls(memory)
        if digest.hexdigest() == sha256:
            return sealed
        sealed.close()
        return None

    @property
    def descriptor(self) -> int:
        """What to pass; it stays this object's."""
        return self._memory.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; who was passed it has it still."""
        self._memory.close()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield its bytes, for a sandbox that it cannot be passed to."""
        for at in range(0, self.size, _PIECE):
            yield os.pread(self.descriptor, _PIECE, at)


def _write_all(memory: io.FileIO, data: bytes) -> None:
    with memoryview(data) as left:
        written = 0
        while written < len(left):
            written += memory.write(left[written:])


def _open_memory() -> io.FileIO:
    descriptor = os.memfd_create("deepd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    return io.FileIO(descriptor, "r+b")
