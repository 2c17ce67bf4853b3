"""Connections of the synchronous client: kept open, checked before use, repeated when safe."""

from __future__ import annotations

import os
from _socket import AF_UNIX, MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, SOCK_STREAM, socket

from deepd.client.failure import cannot_connect, lost, too_slow
from deepd.client.http import Reply, ReplyParser, Request, check, render_head, render_pieces

# `_socket` is what `socket` wraps: the same without its tables of names, a tenth of a start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAX_IDLE = 32
_FIRST = 32 << 10
"""Bytes of room for the beginning of a reply: most are small, and more room takes longer to get."""
_RECEIVE = 256 << 10
_JOINED = 64 << 10
"""Bytes of a body below which it is copied, to be sent in one piece with its head."""


class StaleError(Exception):
    """A kept connection was closed before it answered one byte."""


class Connection:
    """One connection, used for one request at a time."""

    def __init__(self, path: str, timeout: float | None) -> None:
        self.used = False
        self._socket = socket(AF_UNIX, SOCK_STREAM)
        self._timeout: float | None = None
        self._set_timeout(timeout)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise cannot_connect(path, error) from error

    def close(self) -> None:
        """Close it, whatever is under way."""
        self._socket.close()

    def is_stale(self) -> bool:
        """Whether the other end closed it, or said something that nobody asked for."""
        try:
            # With a timeout set, Python waits for a byte before MSG_DONTWAIT has its say.
            self._set_timeout(None)
            self._socket.recv(1, MSG_PEEK | MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def send(self, request: Request, timeout: float | None) -> None:
        """Send the request; a server that answered and closed early is read, not blamed."""
        self._set_timeout(timeout)
        head = render_head(request)
        try:
            if isinstance(request.body, bytes) and len(request.body) < _JOINED:
                self._socket.sendall(head + request.body)
                return
            self._socket.sendall(head)
            if isinstance(request.body, bytes):
                self._socket.sendall(request.body)
            for piece in render_pieces(request):
                self._socket.sendall(piece)
        except TimeoutError:
            raise too_slow(timeout) from None
        except (BrokenPipeError, ConnectionResetError):
            # The daemon refuses what is too large before all of it came: its reason is there.
            return

    def _set_timeout(self, timeout: float | None) -> None:
        if timeout != self._timeout:
            self._socket.settimeout(timeout)
            self._timeout = timeout

    def receive(self, parser: ReplyParser, timeout: float | None, *, bulk: bool = False) -> bytes:
        """Wait for more of the reply and return what is new of its body."""
        try:
            if bulk and timeout is None:
                data = self._receive_bulk(parser)
            else:
                data = self._socket.recv(_RECEIVE if parser.started else _FIRST)
        except TimeoutError:
            raise too_slow(timeout) from None
        except ConnectionError:
            data = b""
        if not data and self.used and not parser.started:
            raise StaleError
        return parser.feed(data)

    def _receive_bulk(self, parser: ReplyParser) -> bytes:
        """Receive a head by itself, or what follows it in one piece, which is then never copied."""
        if parser.certain:
            return self._socket.recv(parser.certain, MSG_WAITALL)
        seen = self._socket.recv(_FIRST, MSG_PEEK)
        end = seen.find(parser.ending)
        return self._socket.recv(end + len(parser.ending) if end >= 0 else _FIRST)


class Pool:
    """Idle connections to one socket; each request takes one and gives it back when done."""

    def __init__(self, path: Path | str | None) -> None:
        self.path = str(path) if path is not None else default_path()
        # Appending to and popping from a list are atomic: threads need no lock here.
        self._idle: list[Connection] = []
        self._pid = os.getpid()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    def exchange(self, request: Request, timeout: float | None) -> Reply:
        """Send a request and return its whole reply, or raise what it reports."""
        connection, parser, reply, body = self._begin(request, timeout)
        pieces = [body] if body else []
        try:
            while not parser.done:
                if piece := connection.receive(parser, timeout, bulk=request.has_bulk):
                    pieces.append(piece)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection, parser)
        reply.body = b"".join(pieces)
        return check(reply)

    def stream(self, request: Request, timeout: float | None) -> Iterator[bytes]:
        """Send a request and yield its reply's body as it comes."""
        connection, parser, reply, body = self._begin(request, timeout)
        try:
            if reply.status >= 400:
                while not parser.done:
                    body += connection.receive(parser, timeout)
                reply.body = body
                check(reply)
            if body:
                yield body
            while not parser.done:
                if piece := connection.receive(parser, timeout, bulk=request.has_bulk):
                    yield piece
        finally:
            if parser.done:
                self._give_back(connection, parser)
            else:
                connection.close()

    def _begin(
        self, request: Request, timeout: float | None
    ) -> tuple[Connection, ReplyParser, Reply, bytes]:
        """Send, and wait for the reply's head and what came with it of the body."""
        while True:
            connection = self._take(timeout, checked=not request.is_repeatable)
            parser = ReplyParser()
            try:
                connection.send(request, timeout)
                while True:
                    body = connection.receive(parser, timeout, bulk=request.has_bulk)
                    if parser.reply is not None:
                        return connection, parser, parser.reply, body
            except StaleError:
                connection.close()
                if not request.is_repeatable:
                    raise lost(self.path) from None
            except BaseException:
                connection.close()
                raise

    def _take(self, timeout: float | None, *, checked: bool) -> Connection:
        """Return a connection; what may be sent again need not be `checked` to be open still."""
        if self._pid != os.getpid():
            # A fork must not speak on its parent's connections.
            self._idle, self._pid = [], os.getpid()
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if not checked or not connection.is_stale():
                connection.used = True
                return connection
            connection.close()
        return Connection(self.path, timeout)

    def _give_back(self, connection: Connection, parser: ReplyParser) -> None:
        if parser.keep_alive and parser.done and len(self._idle) < _MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()


def default_path() -> str:
    """Return the operator's socket of this user's daemon."""
    # Late: a client that is told its socket needs to know no folders.
    from deepd.config.folders import operator_socket  # noqa: PLC0415

    return operator_socket()
