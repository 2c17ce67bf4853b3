"""LogService: a session's life and output as lines, kept ones first, searched here."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from deepd.daemon.calls import CallService
from deepd.daemon.events import EventBus
from deepd.daemon.log_line import LogLine, Raw, Search, Splitter, line_of
from deepd.daemon.log_queue import Every, LogQueue, Newest
from deepd.errors import GoneError
from deepd.model.event import Dropped, Event
from deepd.model.ids import CallId, SessionName
from deepd.store.store import Store

_PAGE = 500
_LAST = 5.0
"""Seconds that the end of a call waits at most for the last of its output."""


class LogService:
    """Reads what the store and the open calls have; keeps nothing itself."""

    def __init__(self, store: Store, bus: EventBus, calls: CallService) -> None:
        self._store = store
        self._bus = bus
        self._calls = calls

    async def lines(
        self,
        session: SessionName,
        *,
        after: int = 0,
        search: str = "",
        follow: bool = False,
        limit: int = 1000,
        newest: int = 0,
    ) -> AsyncIterator[list[LogLine]]:
        """Yield the last lines after an event's number that match, then, if followed, new ones.

        They come as many at a time as there are.
        `search` is a text to be found as it is, or after `re:` a linear-time regular expression.
        With `newest`, of the new output in each tenth of a second only so many lines are yielded,
        after one of kind `skipped` that counts the others.
        """
        wanted = Search(search)
        last = self._bus.last()
        running = {call.id for call in self._calls.list(session, open_only=True)}
        kept = await self._kept(self._events(session, after, last), wanted, max(1, limit))
        while kept:
            yield [kept.popleft() for _ in range(min(_PAGE, len(kept)))]
        if follow:
            queue = Newest(wanted, newest, max(1, limit)) if newest else Every(wanted)
            async with contextlib.aclosing(self._live(session, last, running, queue)) as fresh:
                async for lines in fresh:
                    yield lines

    def _events(self, session: SessionName, after: int, last: int) -> Iterator[Event]:
        while page := self._store.events(after, _PAGE, session=session):
            for event in page:
                if event.id > last:
                    return
                yield event
            after = page[-1].id

    async def _kept(self, events: Iterator[Event], wanted: Search, most: int) -> deque[LogLine]:
        """Return the last lines: each event's own, after what its call printed at a call's end."""
        kept: deque[LogLine] = deque(maxlen=most)
        for event in events:
            if event.kind == "call_finished":
                splitter = Splitter(event.id, event.at, event.call)
                raws: deque[Raw] = deque(maxlen=most)
                for chunk in self._store.output(CallId(event.call)):
                    raws += splitter.wanted(splitter.split(chunk), wanted)
                    await asyncio.sleep(0)
                raws += splitter.wanted(splitter.end(), wanted)
                kept += map(splitter.line, raws)
            line = line_of(event)
            if wanted.finds(line):
                kept.append(line)
            await asyncio.sleep(0)
        return kept

    async def _live(
        self, session: SessionName, last: int, running: set[CallId], queue: LogQueue
    ) -> AsyncGenerator[list[LogLine], None]:
        pumps: dict[str, asyncio.Task[None]] = {}

        def begin(call_id: CallId, number: int) -> None:
            if number != last and call_id in running:
                return  # it is followed since before its start was told
            task = asyncio.create_task(self._pump(call_id, number, queue), name=f"log:{call_id}")
            pumps[call_id] = task
            task.add_done_callback(lambda _: pumps.pop(call_id, None))

        async def pump_events() -> None:
            async for event in self._events_of(session, last):
                if event.kind == "call_finished" and event.call in pumps:
                    await asyncio.wait({pumps[event.call]}, timeout=_LAST)
                await queue.tell(line_of(event))
                if event.kind == "call_started":
                    begin(CallId(event.call), event.id)

        for call_id in running:
            begin(call_id, last)
        tasks = {asyncio.create_task(work, name="log") for work in (pump_events(), queue.run())}
        try:
            while True:
                yield await queue.get()
        finally:
            ended = (*tasks, *pumps.values())
            for task in ended:
                task.cancel()
            await asyncio.gather(*ended, return_exceptions=True)

    async def _events_of(self, session: SessionName, last: int) -> AsyncIterator[Event]:
        while True:
            async for event in self._bus.follow(last):
                if isinstance(event, Dropped):
                    last = event.resume_after
                    break
                if event.session == session:
                    yield event

    async def _pump(self, call_id: CallId, number: int, queue: LogQueue) -> None:
        splitter = Splitter(number, self._calls.get(call_id).created_at, call_id)
        with contextlib.suppress(GoneError):
            async for chunk in self._calls.output(call_id, follow=True):
                await queue.take(splitter, splitter.split(chunk))
        await queue.take(splitter, splitter.end())
