"""A daemon made of prepared answers, on a real Unix socket, for the command line's tests."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Answer = tuple[int, Any]


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return its body's value."""
        return json.loads(self.body)


@dataclass
class PreparedDaemon:
    """Answers each `METHOD /path` with what was prepared for it; 404 for the rest."""

    path: Path
    answers: dict[str, Answer | Callable[[Asked], Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening; the socket's file goes too."""
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def on(self, route: str, answer: Any, status: int = 200) -> None:
        """Prepare an answer: a value to be sent as JSON, bytes, or lines of a stream."""
        self.answers[route] = answer if callable(answer) else (status, answer)

    def last(self, route: str) -> Asked:
        """Return the last request to a route."""
        return [asked for asked in self.asked if _route(asked) == route][-1]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # A client may go away at any time, also with something unread.
        with suppress(OSError), connection, connection.makefile("rb") as stream:
            while (asked := _read(stream)) is not None:
                self.asked.append(asked)
                answer = self.answers.get(_route(asked), (404, NOT_FOUND))
                status, value = answer(asked) if callable(answer) else answer
                _reply(connection, status, value)


NOT_FOUND = {
    "type": "not-found",
    "title": "No such thing",
    "status": 404,
    "detail": "no such thing",
}


def _route(asked: Asked) -> str:
    return f"{asked.method} {asked.target.partition('?')[0]}"


def _read(stream: Any) -> Asked | None:
    line = stream.readline().decode()
    if not line:
        return None
    method, target, _ = line.split(" ", 2)
    headers = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(_chunks(stream))
    else:
        body = stream.read(int(headers.get("content-length", 0)))
    return Asked(method, target, headers, body)


def _chunks(stream: Any) -> Iterable[bytes]:
    while size := int(stream.readline(), 16):
        yield stream.read(size)
        stream.readline()
    stream.readline()


def _reply(connection: socket.socket, status: int, value: Any) -> None:
    head = f"HTTP/1.1 {status} x\r\n"
    if isinstance(value, Iterable) and not isinstance(value, dict | list | bytes | str):
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for line in value:
            piece = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        return
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
