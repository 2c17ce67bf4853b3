"""EventBus: facts, written before anybody sees them, then shown to whoever follows."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from deepd.errors import GoneError, LimitError
from deepd.model.event import Dropped, Event, EventKind
from deepd.store.store import Store

logger = logging.getLogger(__name__)

_PAGE = 500
_QUEUE = 1000
"""Events that a follower may be behind before it is told to resume by number."""
_UNWRITTEN = 10_000

Fact = tuple[float, EventKind, str, str, dict[str, Any]]


class EventBus:
    """Numbers facts without gaps, also over a killed daemon: it is stored before it is shown."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._followers: set[_Follower] = set()
        self._unwritten: deque[Fact] = deque(maxlen=_UNWRITTEN)
        self.seen: Counter[tuple[str, str]] = Counter()
        """Events since the start by their kind and the state that they tell."""
        self.dropped = 0
        """Followers that were too slow, since the start."""

    @property
    def followers(self) -> int:
        """How many follow now."""
        return len(self._followers)

    def publish(self, kind: EventKind, *, session: str = "", call: str = "", **data: Any) -> Event:
        """Store a fact, then show it to the followers.

        Inside of a store transaction it belongs to that: it is shown once that is written, and a
        full disk takes both back. Outside, a full disk only delays it: the event returned then
        has no number (0), and it is written before the next one.
        """
        fact = (self._clock(), kind, session, call, data)
        if self._store.is_writing:
            return self._write(fact)
        self._unwritten.append(fact)
        try:
            return self._write_all()
        except LimitError as error:
            logger.warning("event %s waits to be written: %s", kind, error)
            return Event(0, *fact)

    def since(self, after: int, limit: int = 1000) -> list[Event]:
        """Return the events after a number; `GoneError` when the next one is not kept any more."""
        self._check(after)
        return self._store.events(after, limit)

    def last(self) -> int:
        """Return the number of the newest event."""
        return self._store.last_event_id()

    def follow(self, after: int | None = None) -> AsyncIterator[Event | Dropped]:
        """Yield every event after a number (`None`: from now on), stored ones first, with no gap.

        A follower that falls too far behind gets `Dropped` and the end: nobody waits for it.
        `GoneError`, at once, when what comes next is not kept any more.
        """
        position = self.last() if after is None else after
        self._check(position)
        return self._follow(position)

    async def _follow(self, position: int) -> AsyncIterator[Event | Dropped]:
        while page := self._store.events(position, _PAGE):
            for event in page:
                yield event
            position = page[-1].id
            await asyncio.sleep(0)
            self._check(position)
        follower = _Follower()  # no await since the empty page: nothing can fall between
        self._followers.add(follower)
        try:
            while (fresh := await follower.next()) is not None:
                position = fresh.id
                yield fresh
            yield Dropped(position)
        finally:
            self._followers.discard(follower)

    def _write_all(self) -> Event:
        with self._store.write():
            written = [self._write(fact) for fact in self._unwritten]
        self._unwritten.clear()
        return written[-1]

    def _write(self, fact: Fact) -> Event:
        event = self._store.append_event(*fact)
        self._store.after_commit(lambda: self._show(event))
        return event

    def _show(self, event: Event) -> None:
        self.seen[event.kind, str(event.data.get("state", ""))] += 1
        for follower in tuple(self._followers):
            if not follower.put(event):
                self._followers.discard(follower)
                self.dropped += 1

    def _check(self, after: int) -> None:
        first, last = self._store.first_event_id(), self._store.last_event_id()
        if after > last or after + 1 < first:
            raise GoneError(
                f"event {after + 1} is not kept; there are {first} to {last}",
                next_step=f"read the current state, then follow with after={last}",
            )


class _Follower:
    """One reader's bounded queue."""

    def __init__(self) -> None:
        self._queue: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._dropped = False

    def put(self, event: Event) -> bool:
        """Queue an event; `False` once the reader is too far behind."""
        if len(self._queue) >= _QUEUE:
            self._dropped = True
        else:
            self._queue.append(event)
        self._wake.set()
        return not self._dropped

    async def next(self) -> Event | None:
        """Wait for the next event; `None` is where some were dropped."""
        while not self._queue:
            if self._dropped:
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()
