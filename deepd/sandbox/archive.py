"""Archive: a folder or file of a sandbox as a tar stream."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator

from deepd.errors import ProtocolError
from deepd.guest.connection import Guest
from deepd.guest.records import Record, checked_name
from deepd.guest.requests import FileOp, Kind, Option
from deepd.sandbox import files
from deepd.sandbox.operation import reading
from deepd.sandbox.output import OutputReader

_PIECE = 256 * 1024
_TYPES = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}
_NO_LIMIT = (1 << 63) - 1
_END = bytes(2 * tarfile.BLOCKSIZE)


async def archive(guest: Guest, path: str) -> AsyncIterator[bytes]:
    """Yield a tar of what is below a folder, or of one file: files, folders and links.

    Folders come first and files last. Nothing that the guest sends as a name can lead out of
    the place where somebody unpacks it.
    """
    top = await files.stat(guest, path)
    if top.kind == "dir":
        async with reading(guest, FileOp(Kind.WALK, path), "archive") as output:
            while (record := await output.record()) is not None:
                if record.kind in ("dir", "link"):
                    yield header(record, checked_name(record))
    scan = FileOp(Kind.SCAN, path, offset=_NO_LIMIT, options=Option.SCAN_BINARY)
    async with reading(guest, scan, "archive") as output:
        while (record := await output.record()) is not None:
            if record.kind != "file":
                raise ProtocolError("the guest sent something else than a file")
            yield header(record, checked_name(record))
            async for piece in _content(output, record.size):
                yield piece
    yield _END


def header(record: Record, name: str) -> bytes:
    """Return the blocks in front of an entry's content."""
    entry = tarfile.TarInfo(name)
    entry.type = _TYPES[record.kind]
    entry.mode = record.mode & 0o777
    entry.uid, entry.gid = record.uid, record.gid
    entry.mtime = max(0, record.mtime_ns // 1_000_000_000)
    entry.size = record.size if record.kind == "file" else 0
    entry.linkname = record.target
    return entry.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")


async def _content(output: OutputReader, size: int) -> AsyncIterator[bytes]:
    left = size
    while left:
        piece = await output.some(min(left, _PIECE))
        if not piece:
            raise ProtocolError("the guest sent less of a file than it told")
        left -= len(piece)
        yield piece
    if padding := -size % tarfile.BLOCKSIZE:
        yield bytes(padding)
