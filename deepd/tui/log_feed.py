"""LogFeed: reads what sessions print, and hands it on in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing

from deepd.client.async_ import AsyncClient
from deepd.errors import DaemonDownError, DeepdError
from deepd.tui.widgets.log_view import MOST_ROWS
from deepd.tui.world import Json

BATCH = 0.05
"""Seconds in which lines become a batch: one write a line stalls at some thousand a second."""
NEWEST = 500
"""Lines of a tenth of a second; the daemon only counts what comes faster than that."""
_KEPT = 5000
"""Lines that are read of what was before."""
_AT_ONCE = 500
"""Lines after which keys get their turn: some milliseconds."""
_RETRY = 1.0

Lines = Sequence[tuple[str, Json]]


class LogFeed:
    """Follows some sessions until cancelled; after a restart of the daemon it begins anew."""

    def __init__(
        self,
        client: AsyncClient,
        sessions: Sequence[str],
        search: str,
        *,
        take: Callable[[Lines], None],
        drop: Callable[[str], None],
    ) -> None:
        self._client = client
        self._sessions = sessions
        self._search = search
        self._take = take
        self._drop = drop
        self._pending: deque[tuple[str, Json]] = deque(maxlen=MOST_ROWS)
        self._some = asyncio.Event()

    async def run(self) -> None:
        """Read all of them, and hand on what came."""
        async with asyncio.TaskGroup() as tasks:
            for name in self._sessions:
                tasks.create_task(self._read(name), name=f"logs:{name}")
            while True:
                await self._some.wait()
                await asyncio.sleep(BATCH)
                self._some.clear()
                while self._pending:
                    count = min(len(self._pending), _AT_ONCE)
                    self._take([self._pending.popleft() for _ in range(count)])
                    await asyncio.sleep(0)

    async def _read(self, name: str) -> None:
        while True:
            try:
                await self._follow(name)
            except DaemonDownError:
                await asyncio.sleep(_RETRY)
            except DeepdError as error:
                self._add(name, _note(str(error)))
                return
            # Each time it begins with what is kept: nothing is missing, nothing is there twice.
            self._pending = deque(
                (line for line in self._pending if line[0] != name), maxlen=MOST_ROWS
            )
            self._drop(name)

    async def _follow(self, name: str) -> None:
        lines = self._client.logs(
            name, follow=True, search=self._search, limit=_KEPT, newest=NEWEST
        )
        async with aclosing(lines):
            count = 0
            async for line in lines:
                self._add(name, line)
                count += 1
                if count % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        raise DaemonDownError("the daemon closed the log")

    def _add(self, name: str, line: Json) -> None:
        self._pending.append((name, line))
        self._some.set()


def _note(text: str) -> Json:
    return {"at": 0.0, "kind": "error", "stream": 0, "text": text, "call": "", "number": 0}
