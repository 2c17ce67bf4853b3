"""Bodies of any size: small ones in memory, large ones in a file, hashed as they come."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from deepd.errors import BadRequestError, LimitError
from deepd.model.body import Body
from deepd.model.sealed import Sealed, may_pass, write_all
from deepd.server.limits import Limits
from deepd.server.request import declared_size, read_pieces

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
    upload = _Upload(spool, declared_size(request) or 0)
    size = 0
    try:
        async for piece in read_pieces(request, limits.file, limits.body_seconds):
            digest.update(piece)
            size += len(piece)
            held += piece
            if size > limits.in_memory:
                upload.write(held)
                held.clear()
        path = await upload.finish()
        yield Body(size, digest.hexdigest(), bytes(held), path, upload.sealed)
    finally:
        upload.remove()


class _Upload:
    """A large body: in a file, and before that in memory that the call can be given."""

    def __init__(self, folder: Path, size: int) -> None:
        self._path = folder / f"{_PREFIX}{secrets.token_hex(16)}"
        self._size = size
        """What was declared; 0: nothing."""
        self._file: FileIO | None = None
        self._made = False
        self.sealed: Sealed | None = None

    def write(self, data: bytearray) -> None:
        """Append all of it, or raise `LimitError` for a full disk."""
        try:
            if self._file is None:
                self._open()
            if self.sealed is not None:
                self.sealed.append(data)
            elif self._file is not None:
                write_all(self._file.fileno(), data)
        except OSError as error:
            raise _refusal(error) from error

    async def finish(self) -> Path | None:
        """Return where all bytes are; `None` when none were written."""
        file, self._file = self._file, None
        if file is None:
            return None
        if self.sealed is None:
            file.close()
            return self._path
        if not self.sealed.seal():
            raise BadRequestError("the body is not as long as it was said to be")
        try:
            await asyncio.to_thread(self.sealed.copy_to, file)
        except OSError as error:
            raise _refusal(error) from error
        return self._path

    def remove(self) -> None:
        """Close it and take it away, where it still is."""
        if self._file is not None:
            self._file.close()
        if self._made:
            self._path.unlink(missing_ok=True)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = FileIO(os.open(self._path, flags, 0o600), "w")
        self._made = True
        if may_pass(self._size):
            with suppress(OSError):  # then it goes to the file at once
                self.sealed = Sealed(self._size)


def _refusal(error: OSError) -> LimitError:
    return LimitError(f"the upload cannot be kept: {error.strerror}")
