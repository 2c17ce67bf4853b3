"""The guest's stream over a hijacked HTTP connection: no thread, one copy, bounded."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from typing import cast

from deepd.engine.endpoint import Endpoint
from deepd.engine.fault import down, refused
from deepd.engine.http import HEAD_LIMIT, Reply, parse_head, render_request, ssl_context
from deepd.engine.lane import Lane
from deepd.errors import EngineError, EngineTimeoutError

logger = logging.getLogger(__name__)

BUFFER_LIMIT = 1024 * 1024
"""Bytes kept in each direction before the other side has to wait."""
_STDOUT, _STDERR = 1, 2
_HEADER = 8
_FRAME_LIMIT = 16 * 1024 * 1024
_LOG_LIMIT = 8 * 1024


class Demultiplexer:
    """Takes the engine's `type 0 0 0 size` headers out of a stream, wherever it is cut."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> tuple[list[memoryview], bytes]:
        """Return the pieces of stdout in these bytes, not copied, and what was on stderr."""
        stdout: list[memoryview] = []
        stderr = b""
        view = memoryview(data)
        while view:
            if self._left == 0:
                view = self._feed_header(view)
                continue
            piece, view = view[: self._left], view[self._left :]
            self._left -= len(piece)
            if self._stream == _STDOUT:
                stdout.append(piece)
            else:
                stderr += piece
        return stdout, stderr

    def _feed_header(self, view: memoryview) -> memoryview:
        missing = _HEADER - len(self._header)
        self._header += view[:missing]
        if len(self._header) == _HEADER:
            self._stream, size = self._header[0], int.from_bytes(self._header[4:], "big")
            if self._stream > 3 or any(self._header[1:4]) or size > _FRAME_LIMIT:
                raise EngineError("the engine's attached stream makes no sense")
            self._left = size
            self._header.clear()
        return view[missing:]


class AttachedStream(asyncio.Protocol):
    """A `ByteStream`; also the protocol that asyncio drives for it."""

    lane: Lane | None = None

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._head: bytearray | None = bytearray()
        self.accepted: asyncio.Future[Reply] = self._loop.create_future()
        """Done with the engine's answer; any but a 101 or 200 is a refusal."""
        self._demultiplexer = Demultiplexer()
        self._pieces: deque[memoryview] = deque()
        self._size = 0
        self._paused = False
        self._ended = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()
        self._stderr_left = _LOG_LIMIT

    async def read(self) -> bytes:
        """Wait for at least one byte of stdout; `b""` is the end."""
        await self._readable.wait()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if not self._ended:
            self._readable.clear()
            self._resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """Send bytes to the guest's stdin, buffered."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the buffer is small again; `EngineError` when the stream is gone."""
        await self._writable.wait()
        if self._gone.is_set() or self._ended:
            raise EngineError("the stream to the sandbox has ended")

    async def aclose(self) -> None:
        """Let go; what was written and cannot be sent within a second is dropped."""
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(1.0):
                await self._gone.wait()
        except TimeoutError:
            self._transport.abort()

    def abort(self) -> None:
        """Let go at once, whatever is in the buffers."""
        self.accepted.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; asyncio calls this."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=BUFFER_LIMIT)

    def data_received(self, data: bytes) -> None:
        """Take what the engine sent; asyncio calls this."""
        if self._head is not None:
            data = self._take_head(self._head, data)
        if data:
            self._take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, clean or not: for the reader they are the same; asyncio calls this."""
        if not self.accepted.done():
            self.accepted.set_exception(
                exc or ConnectionResetError("the engine hung up on an attach")
            )
        self._gone.set()
        self._end()

    def eof_received(self) -> None:
        """Note the end of stdout; asyncio then closes the connection."""
        self._end()

    def pause_writing(self) -> None:
        """Make `drain` wait; asyncio calls this."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let `drain` go on; asyncio calls this."""
        self._writable.set()

    def _take_head(self, head: bytearray, data: bytes) -> bytes:
        head += data
        end = head.find(b"\r\n\r\n")
        if end < 0 and len(head) < HEAD_LIMIT:
            return b""
        try:
            status, headers = parse_head(bytes(head[: max(end, 0)]))
        except EngineError as error:
            self._refuse(error)
            return b""
        rest = bytes(head[end + 4 :])
        if status in {101, 200}:
            self._head = None
            if not self.accepted.done():
                self.accepted.set_result(Reply(status, headers, b""))
            return rest
        if len(rest) >= int(headers.get("content-length", "0")) and not self.accepted.done():
            self.accepted.set_result(Reply(status, headers, rest))
        return b""

    def _take(self, data: bytes) -> None:
        try:
            stdout, stderr = self._demultiplexer.feed(data)
        except EngineError as error:
            self._refuse(error)
            return
        if stderr:
            self._log(stderr)
        if stdout:
            self._pieces.extend(stdout)
            self._size += sum(map(len, stdout))
            self._readable.set()
            if self._size > BUFFER_LIMIT and self._transport is not None and not self._paused:
                self._paused = True
                self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _refuse(self, error: EngineError) -> None:
        logger.warning("%s: %s", self._name, error)
        if not self.accepted.done():
            self.accepted.set_exception(error)
        self.abort()

    def _log(self, stderr: bytes) -> None:
        """Pass on what the guest complains about, up to a limit: it may be an agent's doing."""
        if self._stderr_left > 0:
            text = stderr[: self._stderr_left].decode(errors="backslashreplace")
            self._stderr_left -= len(stderr)
            logger.warning("the guest of %s says: %r", self._name, text)

    def _end(self) -> None:
        self._ended = True
        self._readable.set()
        self._writable.set()


async def attach(
    endpoint: Endpoint, target: str, name: str, *, within: float, body: object = None
) -> AttachedStream:
    """Return the stream of a container once the engine has handed it over."""
    stream = AttachedStream(name)
    asked = b"" if body is None else json.dumps(body).encode()
    headers = {"Upgrade": "tcp", "Connection": "Upgrade", "Content-Length": str(len(asked))}
    if asked:
        headers["Content-Type"] = "application/json"
    try:
        async with asyncio.timeout(within):
            await _connect(endpoint, stream)
            stream.write(render_request(endpoint, "POST", target, headers) + asked)
            reply = await stream.accepted
    except TimeoutError:
        stream.abort()
        raise EngineTimeoutError(
            f"cannot attach to {name}: the engine did not answer within {within:g} s"
        ) from None
    except OSError as error:
        stream.abort()
        raise down(endpoint.url, error) from error
    except BaseException:
        stream.abort()
        raise
    if reply.status not in {101, 200}:
        stream.abort()
        raise refused(reply.status, reply.message(), doing=f"cannot attach to {name}")
    return stream


async def _connect(endpoint: Endpoint, stream: AttachedStream) -> None:
    loop = asyncio.get_running_loop()
    if endpoint.path:
        await loop.create_unix_connection(lambda: stream, endpoint.path)
    else:
        context = ssl_context(endpoint)
        await loop.create_connection(lambda: stream, endpoint.host, endpoint.port, ssl=context)
