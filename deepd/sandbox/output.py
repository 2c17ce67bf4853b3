"""Output: what a call prints, read and acknowledged as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deepd.errors import ProtocolError
from deepd.guest.call import GuestCall
from deepd.guest.records import Record, parse_record
from deepd.model.call import Chunk

_ACK_EVERY = 64 * 1024
"""A quarter of the window: the guest never waits for us, and hears of us rarely."""


async def chunks(call: GuestCall) -> AsyncIterator[Chunk]:
    """Yield a call's output up to its end; what was yielded may be forgotten by the guest."""
    acknowledged = 0
    while (chunk := await call.read()) is not None:
        end = chunk.offset + len(chunk.data)
        if end - acknowledged >= _ACK_EVERY:
            call.ack(end)
            acknowledged = end
        yield chunk
    call.ack(call.received)


class NotPassedError(Exception):
    """A file was opened and did not come: ask for its bytes."""


class OutputReader:
    """Reads a file operation's output as records and counted bytes."""

    def __init__(self, call: GuestCall) -> None:
        self._call = call
        self._data = bytearray()
        self._position = 0
        self._acknowledged = 0
        self.ended = False
        """All output was received."""

    async def record(self) -> Record | None:
        """Return the next record, `None` at the end of the output."""
        while True:
            parsed = parse_record(self._data, self._position)
            if parsed is not None:
                record, self._position = parsed
                return record
            if not await self._fill():
                if self._position < len(self._data):
                    raise ProtocolError("the guest sent half a record")
                return None

    async def only_record(self) -> Record | None:
        """Return the record that is all of the output, `None` when there is no output."""
        record = await self.record()
        if await self.some(1):
            raise ProtocolError("the guest sent more than one record")
        return record

    async def exactly(self, size: int) -> bytes:
        """Return so many bytes."""
        while len(self._data) - self._position < size:
            if not await self._fill():
                raise ProtocolError("the guest sent less of a file than it told")
        end = self._position + size
        with memoryview(self._data) as view:
            taken = bytes(view[self._position : end])
        self._position = end
        return taken

    async def some(self, most: int) -> bytes:
        """Return at least one byte and at most so many; `b""` at the end of the output."""
        if self._position == len(self._data) and not await self._fill():
            return b""
        return await self.exactly(min(most, len(self._data) - self._position))

    def passed_file(self) -> int | None:
        """Return what came in place of bytes, once all output was received; the caller closes it.

        Raises `NotPassedError` when it was lost on the way.
        """
        if self._call.missed_file:
            raise NotPassedError
        return self._call.passed_file()

    async def rest(self) -> AsyncIterator[bytes]:
        """Yield what is left, piece by piece."""
        if self._position < len(self._data):
            yield bytes(memoryview(self._data)[self._position :])
        self._data = bytearray()
        self._position = 0
        while (chunk := await self._next()) is not None:
            yield chunk.data

    async def _fill(self) -> bool:
        chunk = await self._next()
        if chunk is None:
            return False
        if self._position:
            del self._data[: self._position]
            self._position = 0
        self._data += chunk.data
        return True

    async def _next(self) -> Chunk | None:
        chunk = await self._call.read()
        if chunk is None:
            self.ended = True
            return None
        end = chunk.offset + len(chunk.data)
        if end - self._acknowledged >= _ACK_EVERY:
            self._call.ack(end)
            self._acknowledged = end
        return chunk
