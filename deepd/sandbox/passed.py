"""Passed: a file that a guest opened, and its bytes read by its descriptor."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator

from deepd.errors import ProtocolError
from deepd.model.files import FilePart

_PIECE = 1 << 20


def passed_part(descriptor: int, offset: int, size: int | None) -> FilePart:
    """Return what was passed, from the offset on and at most `size` bytes of it."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ProtocolError("the guest passed something that is no file")
    there = max(0, status.st_size - offset)
    return FilePart(descriptor, offset, there if size is None else min(there, size))


async def read_part(part: FilePart) -> AsyncIterator[bytes]:
    """Yield its bytes, read in threads: a file may be on a slow disk of its owner's."""
    for at in range(0, part.size, _PIECE):
        most = min(_PIECE, part.size - at)
        piece = await asyncio.to_thread(_read, part, at, most)
        yield piece
        if len(piece) < most:
            return  # it became shorter meanwhile


def _read(part: FilePart, at: int, most: int) -> bytes:
    return os.pread(part.descriptor, most, part.offset + at)
