"""The guest's stream over its lane: one socket, no process between the two."""

from __future__ import annotations

import array
import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from deepd.engine.base import ByteStream
from deepd.engine.lane import Lane
from deepd.errors import DeepdError, EngineError, ProtocolError

BUFFER_LIMIT = 1024 * 1024
"""Bytes kept in each direction before the other side has to wait."""
_READ_SIZE = 256 * 1024
_DESCRIPTOR = struct.Struct("i")
_ROOM_FOR_ONE = socket.CMSG_LEN(_DESCRIPTOR.size)
_MOST_PASSED = 16
"""Descriptors that came and were not asked for yet; a guest passes one a frame."""
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
        self._passed: deque[int] = deque()
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

    def write_passing(self, data: bytes, descriptor: int) -> bool:
        """Send bytes and a copy of a descriptor with the first of them.

        `False`: nothing was sent, as something waits before it or the guest is gone.
        """
        if self._buffer or self._ended:
            return False
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        try:
            sent = self._socket.sendmsg([data], rights)
        except OSError:
            return False
        self.write(data[sent:])
        return True

    def take_passed(self) -> int | None:
        """Return a descriptor that came, in the order in which they did; the caller closes it."""
        return self._passed.popleft() if self._passed else None

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
            data, passed, _, _ = self._socket.recvmsg(
                _READ_SIZE, _ROOM_FOR_ONE, socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, passed = b"", []
        if passed:
            self._keep_passed(passed)
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

    def _keep_passed(self, messages: list[tuple[int, int, bytes]]) -> None:
        """Note what came, at most one as there is room for one: the kernel closes the others."""
        for level, kind, data in messages:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._passed.append(*_DESCRIPTOR.unpack(data))
        if len(self._passed) > _MOST_PASSED:
            self._failure = ProtocolError("the guest passes descriptors that nobody asked for")
            self._end()

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
        while self._passed:
            os.close(self._passed.popleft())
        self._writable.set()
        self._flushed.set()
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
