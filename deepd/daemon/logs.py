"""LogService: a session's life and output as lines, kept ones first, searched here."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from deepd.daemon.calls import CallService
from deepd.daemon.events import EventBus
from deepd.errors import GoneError
from deepd.model.call import Chunk
from deepd.model.event import Dropped, Event, told
from deepd.model.ids import CallId, SessionName
from deepd.sandbox.expression import compile_lines
from deepd.store.store import Store

MAX_LINE = 4096
"""Characters of one line; the rest of a longer one is cut, and said."""
_PAGE = 500
_AHEAD = 500
"""Lines that are read ahead of a slow reader."""

Matches = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line."""

    number: int
    """Of the event that it belongs to; lines after it come with a larger one."""
    at: float
    kind: str
    """An event's kind, or `output`."""
    call: str
    stream: int
    """1 stdout, 2 stderr, 0 for an event."""
    text: str


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
    ) -> AsyncIterator[LogLine]:
        """Yield the last lines after an event's number that match, then, if followed, new ones.

        `search` is a text to be found as it is, or after `re:` a linear-time regular expression.
        """
        matches = _matcher(search)
        last = self._bus.last()
        running = {call.id for call in self._calls.list(session, open_only=True)}
        kept: deque[LogLine] = deque(maxlen=max(1, limit))
        for event in self._events(session, after, last):
            kept.extend(line for line in self._of_event(event) if matches(line.text))
            await asyncio.sleep(0)
        while kept:
            yield kept.popleft()
        if follow:
            async with contextlib.aclosing(self._live(session, last, running)) as fresh:
                async for line in fresh:
                    if matches(line.text):
                        yield line

    def _events(self, session: SessionName, after: int, last: int) -> Iterator[Event]:
        while page := self._store.events(after, _PAGE, session=session):
            for event in page:
                if event.id > last:
                    return
                yield event
            after = page[-1].id

    def _of_event(self, event: Event) -> Iterator[LogLine]:
        """Yield an event's own line, after what its call printed when it is a call's end."""
        if event.kind == "call_finished":
            splitter = _Splitter(event.id, event.at, event.call)
            for chunk in self._store.output(CallId(event.call)):
                yield from splitter.feed(chunk)
            yield from splitter.end()
        yield _line_of(event)

    async def _live(
        self, session: SessionName, last: int, running: set[CallId]
    ) -> AsyncGenerator[LogLine, None]:
        lines: asyncio.Queue[LogLine] = asyncio.Queue(_AHEAD)
        tasks: set[asyncio.Task[None]] = set()

        def begin(call_id: CallId, number: int) -> None:
            if number != last and call_id in running:
                return  # it is followed since before its start was told
            task = asyncio.create_task(self._pump(call_id, number, lines), name=f"log:{call_id}")
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        for call_id in running:
            begin(call_id, last)
        events = asyncio.create_task(self._pump_events(session, last, lines, begin), name="log")
        try:
            while True:
                yield await lines.get()
        finally:
            for task in (events, *tasks):
                task.cancel()
            await asyncio.gather(events, *tasks, return_exceptions=True)

    async def _pump_events(
        self,
        session: SessionName,
        last: int,
        lines: asyncio.Queue[LogLine],
        begin: Callable[[CallId, int], None],
    ) -> None:
        while True:
            async for event in self._bus.follow(last):
                if isinstance(event, Dropped):
                    last = event.resume_after
                    break
                if event.session == session:
                    await lines.put(_line_of(event))
                    if event.kind == "call_started":
                        begin(CallId(event.call), event.id)

    async def _pump(self, call_id: CallId, number: int, lines: asyncio.Queue[LogLine]) -> None:
        splitter = _Splitter(number, self._calls.get(call_id).created_at, call_id)
        with contextlib.suppress(GoneError):
            async for chunk in self._calls.output(call_id, follow=True):
                for line in splitter.feed(chunk):
                    await lines.put(line)
        for line in splitter.end():
            await lines.put(line)


class _Splitter:
    """Makes lines of the chunks of one call, each stream for itself."""

    def __init__(self, number: int, at: float, call: str) -> None:
        self._number = number
        self._at = at
        self._call = call
        self._rest: dict[int, bytes] = {}

    def feed(self, chunk: Chunk) -> Iterator[LogLine]:
        """Yield the lines that a chunk ends."""
        *whole, rest = (self._rest.get(chunk.stream, b"") + chunk.data).split(b"\n")
        for line in whole:
            yield self._line(chunk.stream, line)
        while len(rest) > 4 * MAX_LINE:
            yield self._line(chunk.stream, rest[: 4 * MAX_LINE])
            rest = rest[4 * MAX_LINE :]
        self._rest[chunk.stream] = rest

    def end(self) -> Iterator[LogLine]:
        """Yield what is left without a line's end."""
        for stream, rest in sorted(self._rest.items()):
            if rest:
                yield self._line(stream, rest)

    def _line(self, stream: int, data: bytes) -> LogLine:
        text = data.removesuffix(b"\r").decode(errors="replace")
        return LogLine(self._number, self._at, "output", self._call, stream, _cut(text))


def _line_of(event: Event) -> LogLine:
    return LogLine(event.id, event.at, event.kind, event.call, 0, _cut(told(event.data)))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}… ({len(text)} characters)"


def _matcher(search: str) -> Matches:
    if search.startswith("re:"):
        expression = compile_lines(search.removeprefix("re:"))
        return lambda text: expression.search(text.encode(errors="replace")) is not None
    return lambda text: search in text
