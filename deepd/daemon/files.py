"""The file tools: a request, run in a sandbox, answered as the call's result and output."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deepd.daemon.collect import Collector
from deepd.daemon.tools import (
    EditFile,
    Glob,
    Grep,
    Ls,
    MakeFolder,
    ReadFile,
    RealPath,
    Remove,
    Rename,
    ToolRequest,
    WriteFile,
)
from deepd.errors import FileError, GoneError, TooLargeError
from deepd.model.call import Call, Chunk
from deepd.model.duration import render_size
from deepd.model.files import FilePart, FileStat
from deepd.model.sealed import Sealed, may_pass
from deepd.sandbox.passed import read_part
from deepd.sandbox.sandbox import Sandbox

MAX_READ = 256 << 20
"""Bytes of one `read_file`; a larger file is read in pieces."""
_CHANGED = "the body of this call was changed or cut on the daemon's disk"
_RESULT_IN_ROW = 256 << 10
_PIECE = 256 << 10
_HASH_HERE = 1 << 20

CHANGING = ("write_file", "edit_file")
"""File tools that run at most once, known to the guest by their call's id."""


async def run_file_tool(
    sandbox: Sandbox,
    request: ToolRequest,
    call: Call,
    collector: Collector,
    body: bytes | Path | Sealed | None,
) -> dict[str, Any]:
    """Run one file tool and return its result; what it read goes to the collector."""
    match request:
        case ReadFile():
            return await _read(sandbox, request, collector)
        case WriteFile():
            return await _write(sandbox, request, call, body)
        case EditFile(path, old, new, replace_all):
            count = await sandbox.edit(path, old, new, replace_all, call_id=call.id)
            return {"path": path, "occurrences": count}
        case MakeFolder() | Remove() | Rename():
            return await _change(sandbox, request, call)
        case RealPath(path):
            return {"path": await sandbox.realpath(path, missing=True)}
        case Ls():
            stats = await _list(sandbox, request)
            return _large("entries", [asdict(stat) for stat in stats], collector)
        case Glob(pattern, path, hidden):
            stats = await sandbox.glob(pattern, path, hidden=hidden)
            return _large("entries", [asdict(stat) for stat in stats], collector)
        case Grep(pattern, path, glob, ignore_hidden):
            matches = await sandbox.grep(pattern, path, glob=glob, ignore_hidden=ignore_hidden)
            return _large("matches", [asdict(match) for match in matches], collector)
        case _:
            raise TypeError(f"{type(request).__name__} is no file tool")


async def body_bytes(body: bytes | Path, call: Call, start: int = 0) -> AsyncIterator[bytes]:
    """Yield the body of a call, after making sure that it is still what was shown."""
    if await _sha256(body) != call.body_sha256:
        raise GoneError(_CHANGED)
    if isinstance(body, bytes):
        yield body[start:]
        return
    with body.open("rb") as file:
        file.seek(start)
        while piece := file.read(_PIECE):
            yield piece


async def _read(sandbox: Sandbox, request: ReadFile, collector: Collector) -> dict[str, Any]:
    at = 0
    async with aclosing(sandbox.parts(request.path, request.offset, request.limit)) as parts:
        async for part in parts:
            at = await _take(part, at, request, collector)
    return {"size": at}


async def _take(part: bytes | FilePart, at: int, request: ReadFile, collector: Collector) -> int:
    """Take in what comes next of a file, and return how much of it there is now."""
    size = part.size if isinstance(part, FilePart) else len(part)
    if at + size > MAX_READ:
        raise TooLargeError(
            f"{request.path} has more than {render_size(MAX_READ)} from there on",
            next_step="read it in pieces, with offset and limit",
        )
    if isinstance(part, bytes):
        collector.take(Chunk(at, 1, bytes(part)))
        if collector.needs_flush():
            collector.flush()
        return at + size
    if collector.may_take(part):
        await collector.take_file(part)
        return collector.received
    async for piece in read_part(part):
        at = await _take(piece, at, request, collector)
    return at


async def _write(
    sandbox: Sandbox, request: WriteFile, call: Call, body: bytes | Path | Sealed | None
) -> dict[str, Any]:
    if isinstance(body, Path) and sandbox.guest.passes and may_pass(call.body_size):
        with suppress(OSError):  # no memory for it: its bytes are sent
            body = await asyncio.to_thread(_seal, body, call)
    if request.content is not None:
        data: bytes | AsyncIterator[bytes] | Sealed = request.content
        size = len(request.content)
    elif isinstance(body, Sealed):
        data, size = body, body.size
    elif body is not None:
        data, size = body_bytes(body, call), call.body_size
    else:
        raise GoneError("the body of this call is not kept any more", next_step="send it again")
    stat = await sandbox.write(
        request.path, data, size=size, mode=request.mode, append=request.append, call_id=call.id
    )
    return {"path": request.path, "size": stat.size}


async def _change(
    sandbox: Sandbox, request: MakeFolder | Remove | Rename, call: Call
) -> dict[str, Any]:
    match request:
        case MakeFolder(path):
            await sandbox.mkdir(path, call_id=call.id)
        case Remove(path, recursive):
            await sandbox.remove(path, recursive=recursive, call_id=call.id)
        case Rename(path, to):
            await sandbox.rename(path, to, call_id=call.id)
    return {"path": request.path}


async def _list(sandbox: Sandbox, request: Ls) -> list[FileStat]:
    if request.stat:
        return [await sandbox.stat(request.path)]
    stats = await sandbox.ls(request.path)
    return [await _followed(sandbox, stat) for stat in stats] if request.follow else stats


async def _followed(sandbox: Sandbox, stat: FileStat) -> FileStat:
    """Return what a link leads to; a link that leads nowhere stays one."""
    if stat.kind != "link":
        return stat
    try:
        return await sandbox.stat(stat.path)
    except FileError:
        return stat


def _large(name: str, items: list[dict[str, Any]], collector: Collector) -> dict[str, Any]:
    """Return a list as a result, or as output where it is too large for a row."""
    text = json.dumps({name: items}, separators=(",", ":"))
    if len(text) <= _RESULT_IN_ROW:
        return {name: items}
    collector.take(Chunk(0, 1, text.encode()))
    return {"in_output": True, "count": len(items)}


def _seal(body: Path, call: Call) -> Sealed:
    """Return a copy of a body that is what was shown, and that nobody can change any more."""
    sealed = Sealed.of_file(body, call.body_size, call.body_sha256)
    if sealed is None:
        raise GoneError(_CHANGED)
    return sealed


async def _sha256(body: bytes | Path) -> str:
    if isinstance(body, bytes):
        return hashlib.sha256(body).hexdigest()
    if body.stat().st_size <= _HASH_HERE:
        return hashlib.sha256(body.read_bytes()).hexdigest()
    return await asyncio.to_thread(_file_sha256, body)


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
