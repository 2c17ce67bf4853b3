"""Collector: keeps the beginning of a call's output where it cannot be lost, and shows all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Self

from deepd.daemon.mask import Mask
from deepd.model.call import Chunk
from deepd.model.files import FilePart
from deepd.model.ids import CallId
from deepd.store.store import Store

IN_MEMORY = 128 << 10
"""Kept bytes that may be in memory only: half of what the guest keeps until acknowledged."""
_BEHIND = 1 << 20
"""Bytes that a follower may be behind before it reads from what is kept instead."""


class Collector:
    """The output of one open call.

    What is below `flushed` may be acknowledged: it is in the spool, or past what is kept. So a
    killed daemon loses nothing that the guest was let forget.
    """

    def __init__(self, store: Store, call_id: CallId, keep: int, mask: Mask) -> None:
        self._store = store
        self._id = call_id
        self._keep = keep
        self._mask = mask
        self._pending: list[Chunk] = []
        self._followers: set[_Follower] = set()
        self._room = asyncio.Event()
        self.kept = 0
        self.received = 0
        """The offset after the last byte that came."""
        self.spooled_size = 0
        self.truncated = False
        self.is_over = False

    @classmethod
    def resume(cls, store: Store, call_id: CallId, keep: int, mask: Mask) -> Self:
        """Go on where a former daemon was with its spool."""
        collector = cls(store, call_id, keep, mask)
        collector.received = store.spool.mend(call_id)
        collector.kept = sum(extent.length for extent in store.spool.extents(call_id))
        collector.spooled_size = collector.kept
        return collector

    def take(self, chunk: Chunk) -> None:
        """Take a piece in; what was taken before is skipped."""
        skip = self.received - chunk.offset
        if skip > 0:
            chunk = Chunk(self.received, chunk.stream, chunk.data[skip:])
        elif skip < 0:
            self.truncated = True
        if chunk.data:
            self.received = chunk.offset + len(chunk.data)
            for shown in self._mask.feed(chunk):
                self._show(shown)

    def may_take(self, part: FilePart) -> bool:
        """Whether a file can be copied as it is: all of it is kept and nothing is masked."""
        return self._mask.is_empty and not self._pending and part.size <= self._keep - self.kept

    async def take_file(self, part: FilePart) -> None:
        """Take in what is in a file, copied by the kernel; see `may_take()`."""
        copied = await asyncio.to_thread(
            self._store.spool.append_file, self._id, self.received, part
        )
        self.received += copied
        self.kept += copied
        self.spooled_size += copied
        for follower in self._followers:
            follower.fall_behind()  # it reads from what is kept then

    @property
    def flushed(self) -> int:
        """The offset below which everything is in the spool, or past what is kept."""
        below = self._mask.shown_below(self.received)
        return min(below, self._pending[0].offset) if self._pending else below

    def needs_flush(self) -> bool:
        """Whether so much is in memory only that the guest would soon wait."""
        return bool(self._pending) and self.received - self._pending[0].offset >= IN_MEMORY

    def flush(self) -> None:
        """Write what is in memory to the spool; `LimitError` when there is no space, try again."""
        if self._pending:
            self.spooled_size += self._store.spool.append(self._id, self._pending)
            self._pending = []

    def close(self) -> None:
        """Take in what was held back; the output is over, and is then stored by `store_kept()`."""
        for shown in self._mask.flush():
            self._show(shown)

    def store_kept(self) -> None:
        """Put what is kept where finished calls have it, within the caller's transaction."""
        if self.spooled_size:
            self.flush()
            self._store.put_spooled_output(self._id, self.spooled_size)
        elif self._pending:
            self._store.put_output(self._id, self._pending)

    def end(self) -> None:
        """Tell the followers that there is no more."""
        self.is_over = True
        for follower in self._followers:
            follower.wake.set()

    async def wait_for_room(self) -> None:
        """Wait until those whose pace counts have caught up, so that the command waits for them."""
        while any(follower.paces and follower.is_full for follower in self._followers):
            self._room.clear()
            await self._room.wait()

    def hurry(self) -> None:
        """Wait for nobody's pace any more: the call is to end now."""
        for follower in self._followers:
            follower.paces = False
        self._room.set()

    async def follow(
        self, after: int, *, live: bool = True, paces: bool = False
    ) -> AsyncIterator[Chunk]:
        """Yield output from an offset on: what is kept, and if `live` what comes, to its end.

        Nobody waits for a follower: one that is too slow misses what is not kept, which shows as
        a gap in the offsets. Unless it `paces`, as the reader at the end of a pipe does: then the
        command waits for it, and it misses nothing.
        """
        while True:
            follower = _Follower(self._room, paces=paces)
            self._followers.add(follower)
            try:
                for chunk in self.kept_chunks():
                    if rest := _from(chunk, after):
                        yield rest
                        after = rest.offset + len(rest.data)
                if not live:
                    return
                async for chunk in follower.chunks(self):
                    if rest := _from(chunk, after):
                        yield rest
                        after = rest.offset + len(rest.data)
            finally:
                self._followers.discard(follower)
                self._room.set()
            if not follower.is_behind:
                return

    def kept_chunks(self) -> Iterator[Chunk]:
        """Yield what is kept up to now."""
        pending = tuple(self._pending)
        if self.spooled_size:
            yield from self._store.spool.chunks(self._id)
        yield from pending

    def _show(self, chunk: Chunk) -> None:
        room = self._keep - self.kept
        if room >= len(chunk.data):
            kept = chunk
        else:
            self.truncated = True
            kept = Chunk(chunk.offset, chunk.stream, chunk.data[: max(0, room)])
        if kept.data:
            self.kept += len(kept.data)
            self._pending.append(kept)
        for follower in self._followers:
            follower.put(chunk)


class _Follower:
    """One reader's bounded queue."""

    def __init__(self, room: asyncio.Event, *, paces: bool) -> None:
        self.wake = asyncio.Event()
        self.paces = paces
        self._room = room
        self.is_behind = False
        self._queue: deque[Chunk] = deque()
        self._size = 0

    def put(self, chunk: Chunk) -> None:
        """Queue a piece, or note that this reader is too far behind; then it gets no more here."""
        if self.is_full and not self.paces:
            self.is_behind = True
        if not self.is_behind:
            self._queue.append(chunk)
            self._size += len(chunk.data)
        self.wake.set()

    def fall_behind(self) -> None:
        """Get no more here."""
        self.is_behind = True
        self.wake.set()

    @property
    def is_full(self) -> bool:
        """Whether this reader is as far behind as it may be."""
        return self._size > _BEHIND

    async def chunks(self, collector: Collector) -> AsyncIterator[Chunk]:
        """Yield what was queued until the output is over or this reader is behind."""
        while True:
            while self._queue:
                chunk = self._queue.popleft()
                self._size -= len(chunk.data)
                if not self.is_full:
                    self._room.set()
                yield chunk
            if self.is_behind or collector.is_over:
                return
            self.wake.clear()
            await self.wake.wait()


def _from(chunk: Chunk, after: int) -> Chunk | None:
    skip = after - chunk.offset
    if skip <= 0:
        return chunk
    data = chunk.data[skip:]
    return Chunk(after, chunk.stream, data) if data else None
