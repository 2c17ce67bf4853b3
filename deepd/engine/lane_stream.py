"""The guest's stream over its lane: one socket, no process between the two."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from deepd.engine.base import ByteStream
from deepd.engine.lane import Lane
from deepd.errors import DeepdError, EngineError

BUFFER_LIMIT = 1024 * 1024
"""Bytes kept in each direction before the other side has to wait."""
_READ_SIZE = 256 * 1024
_LAST_WORDS = 1.0
"""Seconds in which a guest may still take what was written before the end."""


class LaneStream:
    """A `ByteStream`. It keeps the attached one: the guest's complaints come by that, and whoever
    comes next says hello there.
    """

    lane: Lane | None = None

    def __init__(self, connection: socket.socket, attached: ByteStream) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = connection
        self._attached = attached
        with suppress(OSError):  # only a gain in speed
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_LIMIT)
        self._received: list[bytes] = []
        self._size = 0
        self._reads = True
        self._buffer = bytearray()
        self._ended = False
        self._reader: asyncio.Future[None] | None = None
        self._take: Callable[[bytes], None] | None = None
        self._failure: DeepdError | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._flushed = asyncio.Event()
        self._flushed.set()
        self._loop.add_reader(connection, self._receive)

    async def read(self) -> bytes:
        """Wait for at least one byte; `b""` is the end."""
        while not self._received and not self._ended:
            self._reader = self._loop.create_future()
            await self._reader
        if self._failure is not None:
            raise self._failure
        received, self._received, self._size = self._received, [], 0
        if not self._reads and not self._ended:
            self._reads = True
            self._loop.add_reader(self._socket, self._receive)
        return received[0] if len(received) == 1 else b"".join(received)

    def write(self, data: bytes) -> None:
        """Send bytes to the guest, buffered."""
        if self._ended:
            return
        if self._buffer:
            self._buffer += data
            return
        sent = self._send(data)
        if sent < len(data) and not self._ended:
            self._buffer += memoryview(data)[sent:]
            self._flushed.clear()
            self._loop.add_writer(self._socket, self._flush)
            if len(self._buffer) > BUFFER_LIMIT:
                self._writable.clear()

    async def drain(self) -> None:
        """Wait until the buffer is small again; raise `EngineError` when the guest is gone."""
        await self._writable.wait()
        if self._ended:
            raise EngineError("the stream to the sandbox has ended")

    async def aclose(self) -> None:
        """Let go of both ways; what was written and is not taken within a second is dropped."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await self._flushed.wait()
        finally:
            self._end()
            self._socket.close()
            await self._attached.aclose()

    def hand_over(self, take: Callable[[bytes], None]) -> None:
        """Have bytes taken as they come, without the turn of the loop that a task would cost.

        Only the end comes by `read` then, and what `take` raised.
        """
        self._take = take
        received, self._received, self._size = self._received, [], 0
        for data in received:
            self._deliver(data, take)

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        if self._take is not None:
            self._deliver(data, self._take)
            return
        self._received.append(data)
        self._size += len(data)
        if self._size > BUFFER_LIMIT:
            self._reads = False
            self._loop.remove_reader(self._socket)
        self._wake()

    def _deliver(self, data: bytes, take: Callable[[bytes], None]) -> None:
        try:
            take(data)
        except DeepdError as error:
            self._failure = error
            self._end()

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self._end()
            return 0

    def _flush(self) -> None:
        sent = self._send(self._buffer)
        del self._buffer[:sent]
        if not self._buffer and not self._ended:
            self._loop.remove_writer(self._socket)
            self._flushed.set()
        if len(self._buffer) <= BUFFER_LIMIT:
            self._writable.set()

    def _end(self) -> None:
        """Wake everybody who waits."""
        if self._ended:
            return
        self._ended = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._buffer.clear()
        self._writable.set()
        self._flushed.set()
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
