"""Bodies of any size: small ones in memory, large ones in a file, hashed as they come."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deepd.errors import LimitError
from deepd.model.body import Body
from deepd.server.limits import Limits
from deepd.server.request import read_pieces

if TYPE_CHECKING:
    from starlette.requests import Request


_PREFIX = "upload-"


def remove_leftovers(spool: Path) -> None:
    """Remove the files of uploads that a killed daemon did not live to finish."""
    for path in spool.glob(f"{_PREFIX}*"):
        path.unlink(missing_ok=True)


@asynccontextmanager
async def received_body(request: Request, spool: Path, limits: Limits) -> AsyncIterator[Body]:
    """Receive the request's body; a file that nobody took over by the end is removed."""
    digest = hashlib.sha256()
    held = bytearray()
    file = _SpoolFile(spool)
    size = 0
    try:
        async for piece in read_pieces(request, limits.file, limits.body_seconds):
            digest.update(piece)
            size += len(piece)
            held += piece
            if size > limits.in_memory:
                file.write(held)
                held.clear()
        path = file.close()
        yield Body(size=size, sha256=digest.hexdigest(), data=bytes(held), path=path)
    finally:
        file.remove()


class _SpoolFile:
    """A file that is made with its first bytes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{_PREFIX}{secrets.token_hex(16)}"
        self._descriptor: int | None = None
        self._made = False

    def write(self, data: bytearray) -> None:
        """Append all of it, or raise `LimitError` for a full disk."""
        try:
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o600)
                self._made = True
            with memoryview(data) as left:
                written = 0
                while written < len(left):
                    written += os.write(self._descriptor, left[written:])
        except OSError as error:
            raise LimitError(f"the upload cannot be kept: {error.strerror}") from error

    def close(self) -> Path | None:
        """Return where the bytes are; `None` when none were written."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        return self._path if self._made else None

    def remove(self) -> None:
        """Close it and take it away, where it still is."""
        self.close()
        if self._made:
            self._path.unlink(missing_ok=True)
