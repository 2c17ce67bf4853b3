"""Search: globs and greps; the guest leaves out what cannot match, the rest is matched here."""

from __future__ import annotations

import asyncio
import time

from deepd.errors import FileError, ProtocolError
from deepd.guest.connection import Guest
from deepd.guest.records import Record, checked_name
from deepd.guest.requests import FileOp, Kind, Option
from deepd.model.files import FileStat, Match
from deepd.sandbox import files
from deepd.sandbox.expression import Expression, compile_glob
from deepd.sandbox.lines import LineSearch
from deepd.sandbox.needle import needle
from deepd.sandbox.operation import reading
from deepd.sandbox.output import OutputReader
from deepd.sandbox.pattern import Glob, name_filter, split_glob

MAX_FILE = 16 << 20
"""Larger files are not searched."""
_TURN = 0.005
"""Seconds of matching before others get a turn of the loop."""
_INLINE = 64 * 1024
"""Larger files are searched in a thread: RE2 lets go of the interpreter's lock."""


class Turn:
    """Lets the loop turn when it was held for long."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def over(self) -> None:
        """Give others a turn when it is time."""
        if time.monotonic() - self._since > _TURN:
            await asyncio.sleep(0)
            self._since = time.monotonic()


async def glob(
    guest: Guest, pattern: str, path: str, *, limit: int = 10_000, hidden: bool = False
) -> list[FileStat]:
    """Return what matches below a path, sorted; with more than the limit, any that many of it."""
    parts = split_glob(pattern)
    base = parts.base if parts.base.startswith("/") else files.join(path, parts.base)
    try:
        if not parts.rest:
            return [await files.stat(guest, base, follow=False)]
        found = await _walk(guest, parts, base, limit=limit, hidden=hidden)
    except FileError as error:
        if parts.base and error.errno_name in ("ENOENT", "ENOTDIR"):
            return []
        raise
    return sorted(found, key=lambda entry: entry.path)


async def _walk(
    guest: Guest, parts: Glob, base: str, *, limit: int, hidden: bool
) -> list[FileStat]:
    expression = compile_glob(parts.rest, hidden=hidden)
    skip = 0 if hidden or parts.names_hidden else Option.WALK_SKIP_HIDDEN
    if parts.one_level:
        operation = FileOp(Kind.LIST, base)
    else:
        operation = FileOp(Kind.WALK, base, options=skip, glob=name_filter(parts.rest))
    found: list[FileStat] = []
    turn = Turn()
    async with reading(guest, operation, "search") as output:
        while len(found) < limit and (record := await output.record()) is not None:
            name = checked_name(record)
            if matches(expression, name):
                found.append(record.stat(files.join(base, name)))
            await turn.over()
    return found


def matches(expression: Expression, name: str) -> bool:
    """Tell whether a whole name matches; bytes that are no text match wildcards only."""
    return expression.fullmatch(name.encode(errors="replace")) is not None


async def grep(
    guest: Guest,
    pattern: str,
    path: str,
    *,
    glob: str | None = None,
    ignore_hidden: bool = True,
    limit: int = 10_000,
) -> list[Match]:
    """Return the lines that match below a path or in one file, sorted by path and number."""
    search = LineSearch(pattern, limit)
    by_path = glob is not None and "/" in glob
    wanted = compile_glob(_relative(glob), hidden=not ignore_hidden) if glob and by_path else None
    operation = FileOp(
        Kind.SCAN,
        path,
        offset=MAX_FILE,
        glob="" if by_path else glob or "",
        needle=needle(pattern),
        options=Option.WALK_SKIP_HIDDEN if ignore_hidden else 0,
    )
    # A file is told by its own name, as is one of the same name in a folder.
    single: bool | None = None
    turn = Turn()
    async with reading(guest, operation, "search") as output:
        while not search.full and (record := await output.record()) is not None:
            data = await _content(output, record)
            name = checked_name(record)
            if wanted is not None and not matches(wanted, name):
                continue
            if single is None and name == path.rsplit("/", 1)[-1]:
                single = (await files.stat(guest, path)).kind != "dir"
            where = path if single else files.join(path, name)
            if len(data) > _INLINE:
                await asyncio.to_thread(search.search, where, data)
            else:
                search.search(where, data)
            await turn.over()
    return sorted(search.found, key=lambda match: (match.path, match.line_number))


async def _content(output: OutputReader, record: Record) -> bytes:
    if record.kind != "file" or record.size > MAX_FILE:
        raise ProtocolError("the guest sent something that was not to be searched")
    return await output.exactly(record.size)


def _relative(glob: str) -> str:
    return "/".join(part for part in glob.split("/") if part not in ("", "."))
