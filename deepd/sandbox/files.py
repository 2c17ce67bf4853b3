"""Files: reading, writing and arranging single files and folders of a sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace

from deepd.errors import FileError, ProtocolError, TooLargeError
from deepd.guest.connection import Guest
from deepd.guest.fields import text
from deepd.guest.records import Record, checked_name
from deepd.guest.requests import FileOp, Kind, Option
from deepd.model.files import FilePart, FileStat
from deepd.model.ids import CallId
from deepd.model.sealed import Sealed, may_pass
from deepd.sandbox.execute import Input
from deepd.sandbox.failure import shown
from deepd.sandbox.operation import perform, reading
from deepd.sandbox.output import NotPassedError, OutputReader
from deepd.sandbox.passed import passed_part, read_part

MAX_READ = 256 << 20
"""Bytes that are read into memory at once; streams have no limit."""
MAX_ENTRIES = 100_000
"""Entries of one listed folder."""


async def stream(
    guest: Guest, path: str, offset: int = 0, size: int | None = None
) -> AsyncGenerator[bytes, None]:
    """Yield a file's bytes from the offset on, at most `size` of them."""
    async for piece in _pieces(parts(guest, path, offset, size)):
        yield piece


async def parts(
    guest: Guest, path: str, offset: int = 0, size: int | None = None
) -> AsyncGenerator[bytes | FilePart, None]:
    """Yield a file's bytes as `stream()` does, or where they are until the next is asked for."""
    if size == 0:
        return
    operation = _read_operation(guest, path, offset, size or 0)
    try:
        async with aclosing(_parts(guest, operation)) as parts_:
            async for part in parts_:
                yield part
    except NotPassedError:  # instead of its first byte
        guest.pass_no_more()
        async with aclosing(_parts(guest, replace(operation, options=0))) as parts_:
            async for part in parts_:
                yield part


async def read(guest: Guest, path: str, offset: int = 0, size: int | None = None) -> bytes:
    """Return a file's bytes from the offset on, at most `size` of them."""
    _, data = await read_version(guest, path, offset, size)
    return data


async def read_version(
    guest: Guest, path: str, offset: int = 0, size: int | None = None
) -> tuple[Record, bytes]:
    """Return a file's bytes together with what the file was when it was opened."""
    # Zero means "to the end" on the wire, and one byte more than wanted shows that there is more.
    most = MAX_READ + 1 if size is None else max(size, 1)
    operation = _read_operation(guest, path, offset, most)
    try:
        record, data = await _read_whole(guest, operation)
    except NotPassedError:
        guest.pass_no_more()
        record, data = await _read_whole(guest, replace(operation, options=0))
    return record, b"" if size == 0 else data


async def write(
    guest: Guest, operation: FileOp, data: Input | Sealed, *, call_id: CallId | None = None
) -> FileStat:
    """Carry out a WRITE and return what the file is now; bytes tell their size themselves."""
    if isinstance(data, bytes | Sealed):
        size = len(data) if isinstance(data, bytes) else data.size
        operation = replace(operation, size=size)
    if isinstance(data, bytes) and guest.passes and may_pass(len(data)):
        with suppress(OSError):  # no memory for a second copy: the bytes are sent
            data = await asyncio.to_thread(Sealed.of_bytes, data)
    record = await perform(guest, operation, "write", call_id=call_id, content=data)
    return _known(record).stat(operation.path)


async def stat(guest: Guest, path: str, *, follow: bool = True) -> FileStat:
    """Return what a path is."""
    options = 0 if follow else Option.STAT_NO_FOLLOW
    return _known(await perform(guest, FileOp(Kind.STAT, path, options=options), "find")).stat(path)


async def exists(guest: Guest, path: str) -> bool:
    """Tell whether there is something, at the end of all links."""
    try:
        await stat(guest, path)
    except FileError as error:
        if error.errno_name in ("ENOENT", "ENOTDIR"):
            return False
        raise
    return True


async def ls(guest: Guest, path: str) -> list[FileStat]:
    """Return what is in a folder, sorted by name."""
    entries: list[FileStat] = []
    async with reading(guest, FileOp(Kind.LIST, path), "list") as output:
        while (record := await output.record()) is not None:
            name = checked_name(record)
            if "/" in name:
                raise ProtocolError("the guest listed something that is not in the folder")
            if len(entries) == MAX_ENTRIES:
                raise TooLargeError(f"{shown(path)} has more than {MAX_ENTRIES:,} entries")
            entries.append(record.stat(join(path, name)))
    return sorted(entries, key=lambda entry: entry.path)


async def realpath(guest: Guest, path: str, *, missing: bool = False) -> str:
    """Return the absolute path without links; with `missing`, no part of it needs to exist."""
    operation = FileOp(Kind.REALPATH, path, options=Option.REALPATH_MISSING if missing else 0)
    raw = b""
    async with reading(guest, operation, "resolve") as output:
        async for piece in output.rest():
            raw += piece
            if len(raw) > 65_536:
                raise ProtocolError("the guest sent a path that is too long")
    if not raw.startswith(b"/") or b"\0" in raw:
        raise ProtocolError(f"the guest sent {text(raw, 80)!r} as a path")
    return raw.decode(errors="surrogateescape")


def join(folder: str, name: str) -> str:
    """Return the path of something in a folder, as short as the folder's own."""
    if folder in ("", "."):
        return name
    return folder + name if folder.endswith("/") else f"{folder}/{name}"


def _read_operation(guest: Guest, path: str, offset: int, size: int) -> FileOp:
    options = Option.READ_PASS if guest.passes else 0
    return FileOp(Kind.READ, path, offset=offset, size=size, options=options)


async def _read_whole(guest: Guest, operation: FileOp) -> tuple[Record, bytes]:
    async with reading(guest, operation, "read") as output:
        record = await output.record()
        data = b"".join([piece async for piece in _pieces(_content(output, operation))])
    if len(data) > MAX_READ:
        raise TooLargeError(
            f"{shown(operation.path)} is larger than {MAX_READ >> 20} MiB",
            next_step="read it in parts, with offset and size",
        )
    return _known(record), data


async def _parts(guest: Guest, operation: FileOp) -> AsyncGenerator[bytes | FilePart, None]:
    async with reading(guest, operation, "read") as output:
        await output.record()
        async for part in _content(output, operation):
            yield part


async def _pieces(parts: AsyncGenerator[bytes | FilePart, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(parts):
        async for part in parts:
            if isinstance(part, FilePart):
                async for piece in read_part(part):
                    yield piece
            else:
                yield part


async def _content(
    output: OutputReader, operation: FileOp
) -> AsyncGenerator[bytes | FilePart, None]:
    """Yield the bytes that a READ answers with, in whichever way; never more than it asks for."""
    left = operation.size
    async for piece in output.rest():
        left -= len(piece)
        if operation.size and left < 0:
            raise ProtocolError("the guest sent more of a file than was asked for")
        yield piece
    if (descriptor := output.passed_file()) is not None:
        yield passed_part(descriptor, operation.offset, operation.size or None)


def _known(record: Record | None) -> Record:
    if record is None:
        raise ProtocolError("the guest did not say what the file is")
    return record
