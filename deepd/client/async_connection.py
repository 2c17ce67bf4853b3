"""Connections of the asynchronous client, over asyncio's streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

from deepd.client.connection import StaleError, default_path
from deepd.client.failure import cannot_connect, lost, too_slow
from deepd.client.http import (
    LAST_CHUNK,
    Reply,
    ReplyParser,
    Request,
    check,
    chunk,
    render_head,
    render_pieces,
)

if TYPE_CHECKING:
    from pathlib import Path

_MAX_IDLE = 32
_RECEIVE = 256 << 10


class AsyncConnection:
    """One connection, used for one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.used = False
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, path: str) -> AsyncConnection:
        """Connect."""
        try:
            return cls(*await asyncio.open_unix_connection(path, limit=_RECEIVE))
        except OSError as error:
            raise cannot_connect(path, error) from error

    def close(self) -> None:
        """Close it, whatever is under way."""
        self._writer.close()

    def is_stale(self) -> bool:
        """Whether the other end closed it."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def send(self, request: Request, pieces: AsyncIterator[bytes] | None) -> None:
        """Send the request; a server that answered and closed early is read, not blamed."""
        head = render_head(request)
        try:
            if isinstance(request.body, bytes):
                self._writer.write(head + request.body)
            else:
                self._writer.write(head)
                for piece in render_pieces(request) if pieces is None else ():
                    await self._write(piece)
                if pieces is not None:
                    await self._send_pieces(pieces, is_chunked=request.size is None)
            await self._writer.drain()
        except (BrokenPipeError, ConnectionResetError):
            return

    async def receive(self, parser: ReplyParser, timeout: float | None) -> bytes:
        """Wait for more of the reply and return what is new of its body."""
        try:
            async with asyncio.timeout(timeout):
                data = await self._reader.read(_RECEIVE)
        except TimeoutError:
            raise too_slow(timeout) from None
        except ConnectionError:
            data = b""
        if not data and self.used and not parser.started:
            raise StaleError
        return parser.feed(data)

    async def _send_pieces(self, pieces: AsyncIterator[bytes], *, is_chunked: bool) -> None:
        async for piece in pieces:
            if piece:
                await self._write(chunk(piece) if is_chunked else piece)
        if is_chunked:
            await self._write(LAST_CHUNK)

    async def _write(self, piece: bytes) -> None:
        self._writer.write(piece)
        await self._writer.drain()


class AsyncPool:
    """Idle connections to one socket; each request takes one and gives it back when done."""

    def __init__(self, path: Path | str | None) -> None:
        self.path = str(path) if path is not None else default_path()
        self._idle: list[AsyncConnection] = []

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    async def exchange(
        self,
        request: Request,
        timeout: float | None,
        pieces: AsyncIterator[bytes] | None = None,
    ) -> Reply:
        """Send a request and return its whole reply, or raise what it reports."""
        connection, parser, reply, body = await self._begin(request, timeout, pieces)
        received = [body]
        try:
            while not parser.done:
                received.append(await connection.receive(parser, timeout))
        except BaseException:
            connection.close()
            raise
        self._give_back(connection, parser)
        reply.body = b"".join(received)
        return check(reply)

    async def stream(self, request: Request, timeout: float | None) -> AsyncGenerator[bytes, None]:
        """Send a request and yield its reply's body as it comes."""
        connection, parser, reply, body = await self._begin(request, timeout, None)
        try:
            if reply.status >= 400:
                while not parser.done:
                    body += await connection.receive(parser, timeout)
                reply.body = body
                check(reply)
            if body:
                yield body
            while not parser.done:
                if piece := await connection.receive(parser, timeout):
                    yield piece
        finally:
            if parser.done:
                self._give_back(connection, parser)
            else:
                connection.close()

    async def _begin(
        self, request: Request, timeout: float | None, pieces: AsyncIterator[bytes] | None
    ) -> tuple[AsyncConnection, ReplyParser, Reply, bytes]:
        """Send, and wait for the reply's head and what came with it of the body."""
        while True:
            connection = await self._take()
            parser = ReplyParser()
            try:
                await connection.send(request, pieces)
                while True:
                    body = await connection.receive(parser, timeout)
                    if parser.reply is not None:
                        return connection, parser, parser.reply, body
            except StaleError:
                connection.close()
                if pieces is not None or not request.is_repeatable:
                    raise lost(self.path) from None
            except BaseException:
                connection.close()
                raise

    async def _take(self) -> AsyncConnection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_stale():
                connection.used = True
                return connection
            connection.close()
        return await AsyncConnection.open(self.path)

    def _give_back(self, connection: AsyncConnection, parser: ReplyParser) -> None:
        if parser.keep_alive and parser.done and len(self._idle) < _MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
