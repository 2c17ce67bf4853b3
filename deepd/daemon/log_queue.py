"""Queues between what a session prints and one reader: of every line, or of the newest alone.

A reader of every line is waited for. One that asks for the newest gets what a person can look at:
a sandbox that prints 50,000 lines a second costs it, and the daemon, no more than one that prints
a tenth of that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import repeat
from typing import Protocol

from deepd.daemon.log_line import LogLine, Raw, Search, Splitter

_AHEAD = 500
"""Lines that are read ahead of a slow reader."""
_BEAT = 0.1
"""Seconds between two deliveries of the newest lines."""


class LogQueue(Protocol):
    """Takes lines from several calls, and gives them to one reader in their order."""

    async def take(self, splitter: Splitter, raws: list[Raw]) -> None:
        """Take what a call printed."""

    async def tell(self, line: LogLine) -> None:
        """Take an event's line, which is behind all that was taken before."""

    async def get(self) -> list[LogLine]:
        """Wait for lines, and return all that are there."""

    async def run(self) -> None:
        """Deliver until cancelled."""


class Every:
    """All lines; whoever prints waits for who reads."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._lines: asyncio.Queue[LogLine] = asyncio.Queue(_AHEAD)

    async def take(self, splitter: Splitter, raws: list[Raw]) -> None:
        for line in map(splitter.line, raws):
            await self.tell(line)

    async def tell(self, line: LogLine) -> None:
        if self._search.finds(line):
            await self._lines.put(line)

    async def get(self) -> list[LogLine]:
        return await _all_of(self._lines)

    async def run(self) -> None:
        await asyncio.Event().wait()


class Newest:
    """Of the output between two beats the newest lines, after a line that counts the others.

    Nobody waits for the reader: the slower it is, the more is counted. No event is left out.
    """

    def __init__(self, search: Search, most: int, first: int) -> None:
        self._search = search
        self._most = most
        self._raws: deque[tuple[Splitter, Raw]] = deque(maxlen=first)
        self._count = 0
        self._some = asyncio.Event()
        self._order = asyncio.Lock()
        self._lines: asyncio.Queue[LogLine] = asyncio.Queue(_AHEAD)

    async def take(self, splitter: Splitter, raws: list[Raw]) -> None:
        raws = splitter.wanted(raws, self._search)
        self._raws.extend(zip(repeat(splitter), raws, strict=False))
        self._count += len(raws)
        if raws:
            self._some.set()
        # What is kept of a call that has run for long comes all at once: others get their turn.
        await asyncio.sleep(0)

    async def tell(self, line: LogLine) -> None:
        async with self._order:
            await self._deliver()
            if self._search.finds(line):
                await self._lines.put(line)

    async def get(self) -> list[LogLine]:
        return await _all_of(self._lines)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_BEAT)
            await self._some.wait()
            async with self._order:
                await self._deliver()

    async def _deliver(self) -> None:
        self._some.clear()
        if not self._raws:
            return
        raws, self._raws = self._raws, deque(maxlen=self._most)
        passed, self._count = self._count - len(raws), 0
        if passed:
            splitter = raws[0][0]
            text = f"{passed:,} line{'' if passed == 1 else 's'} came faster than they can be read"
            await self._lines.put(LogLine(splitter.number, splitter.at, "skipped", "", 0, text))
        for splitter, raw in raws:
            await self._lines.put(splitter.line(raw))


async def _all_of(lines: asyncio.Queue[LogLine]) -> list[LogLine]:
    found = [await lines.get()]
    while not lines.empty():
        found.append(lines.get_nowait())
    return found
