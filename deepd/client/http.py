"""HTTP/1.1 without I/O: a request to bytes, bytes to a reply; both clients stand on it."""

from __future__ import annotations

import json

from deepd.errors import DaemonDownError, DeepdError

TYPE_CHECKING = False  # typing itself would cost a command a tenth of its start
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    Query = Mapping[str, str | int | float | bool | None]

NDJSON = "application/x-ndjson"
RAW_LINES = f"{NDJSON}; bytes=raw"
"""The same, but the bytes of an output line follow it as they are; its `size` says how many."""
_MAX_HEAD = 64 << 10
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder()
_ESCAPES = [chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in range(256)]


class Request:
    """One request before it is bytes; its body is all of it, or pieces to be sent as they come."""

    __slots__ = ("body", "has_bulk", "headers", "method", "size", "target")

    def __init__(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        size: int | None = None,
        *,
        has_bulk: bool = False,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers or {}
        self.body = body
        self.size = size
        """How much the pieces are together, where that is known."""
        self.has_bulk = has_bulk
        """Whether the answer may be megabytes, which are then received in one piece."""

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it again can do nothing twice."""
        named = self.method in {"GET", "HEAD"} or "Idempotency-Key" in self.headers
        return named and (self.body is None or isinstance(self.body, bytes))

    def with_headers(self, more: Mapping[str, str]) -> Request:
        """Return the request with headers that its own ones override."""
        if not more:
            return self
        headers = {**more, **self.headers}
        return Request(
            self.method, self.target, headers, self.body, self.size, has_bulk=self.has_bulk
        )


def json_request(
    method: str, where: str, value: Any = None, headers: Mapping[str, str] | None = None
) -> Request:
    """Return a request with a JSON body, or with none for `None`."""
    if value is None:
        # A POST without a body says so: servers may wait for one otherwise.
        return Request(method, where, headers or {}, b"" if method == "POST" else None)
    body = _ENCODER.encode(value).encode()
    return Request(method, where, {"Content-Type": "application/json", **(headers or {})}, body)


class Reply:
    """A whole answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        """Return the body's value; `None` where there is no body."""
        return _DECODER.decode(self.body.decode("utf-8", "surrogatepass")) if self.body else None


def quote(text: str) -> str:
    """Return text for a path or query; names that are no UTF-8 keep their bytes."""
    raw = text.encode("utf-8", "surrogateescape")
    return "".join(map(_ESCAPES.__getitem__, raw))


def segment(text: str) -> str:
    """Return text as one part of a path: a slash in it does not make two."""
    return quote(text).replace("/", "%2F")


def target(path: str, query: Query | None = None) -> str:
    """Return path and query; values that are `None` or `False` are left out, `True` is 1."""
    pairs = [
        f"{key}={quote(str(1 if value is True else value))}"
        for key, value in (query or {}).items()
        if value is not None and value is not False
    ]
    return f"{path}?{'&'.join(pairs)}" if pairs else path


def render_head(request: Request) -> bytes:
    """Return the request's first lines; a whole body is not in them."""
    lines = [f"{request.method} {request.target} HTTP/1.1", "Host: deepd"]
    for name, value in request.headers.items():
        if not value.isprintable() or not value.isascii():
            raise ValueError(f"the header {name} may hold printable ASCII only")
        lines.append(f"{name}: {value}")
    if isinstance(request.body, bytes):
        lines.append(f"Content-Length: {len(request.body)}")
    elif request.body is not None and request.size is not None:
        lines.append(f"Content-Length: {request.size}")
    elif request.body is not None:
        lines.append("Transfer-Encoding: chunked")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def render_pieces(request: Request) -> Iterator[bytes]:
    """Yield the body that comes in pieces, in chunks where its size is not known."""
    if request.body is None or isinstance(request.body, bytes):
        return
    for piece in request.body:
        if piece:
            yield piece if request.size is not None else chunk(piece)
    if request.size is None:
        yield LAST_CHUNK


LAST_CHUNK = b"0\r\n\r\n"


def chunk(piece: bytes) -> bytes:
    """Return one chunk of a body of unknown size."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


class ReplyParser:
    """Takes the bytes of one reply as they come and gives out its head and its body."""

    def __init__(self) -> None:
        self.reply: Reply | None = None
        """The head, once it is whole; its `body` stays empty here."""
        self.done = False
        self.keep_alive = True
        self.started = False
        """Whether a single byte of an answer has been seen."""
        self._buffer = bytearray()
        self._left: int | None = None
        """Bytes left of the body or of the chunk; `None`: until the end of the stream."""
        self._chunked = False
        self._trailer = False

    def feed(self, data: bytes) -> bytes:
        """Take what was received (`b""` is the end) and return what is new of the body."""
        if not data:
            self._end()
            return b""
        self.started = True
        if self._is_body(data):
            return data
        self._buffer += data
        if self.reply is None and not self._head():
            return b""
        return self._chunks() if self._chunked else self._plain()

    @property
    def certain(self) -> int:
        """Bytes that are sure to come of the body, or of its chunk, with nothing before them."""
        return self._left or 0 if self.reply is not None and not self._buffer else 0

    @property
    def ending(self) -> bytes:
        """What ends the head that is to come: of the reply, or of a chunk."""
        return b"\r\n" if self.reply is not None else b"\r\n\r\n"

    def _is_body(self, data: bytes) -> bool:
        """Whether all of the data is of the body, or of one chunk: then it is not copied."""
        if len(data) > self.certain:
            return False
        self._left = self.certain - len(data)
        self.done = not self._left and not self._chunked
        return True

    def _end(self) -> None:
        self.keep_alive = False
        if self.reply is not None and not self._chunked and self._left is None:
            self.done = True
        elif not self.done:
            raise DaemonDownError(
                "the daemon went away in the middle of an answer",
                next_step="see `deepd status`; calls that it took are kept",
            )

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise not_http()
            return False
        status_line, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, rest = status_line.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise not_http()
        if rest[0] == "1":
            return self._head()
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        self._framing(int(rest[:3]), headers)
        return True

    def _framing(self, status: int, headers: dict[str, str]) -> None:
        self.reply = Reply(status, headers)
        self.keep_alive = headers.get("connection", "").lower() != "close"
        if headers.get("transfer-encoding", "").lower() == "chunked":
            self._chunked, self._left = True, 0
        elif (length := headers.get("content-length", "")).isdigit():
            self._left = int(length)
        elif status in {204, 304}:
            self._left = 0

    def _plain(self) -> bytes:
        body = bytes(self._buffer if self._left is None else self._buffer[: self._left])
        del self._buffer[: len(body)]
        if self._left is not None:
            self._left -= len(body)
            self.done = self._left == 0
        return body

    def _chunks(self) -> bytes:
        body = bytearray()
        while not self.done:
            if self._left:
                taken = self._buffer[: self._left]
                del self._buffer[: len(taken)]
                body += taken
                self._left -= len(taken)
                if self._left:
                    break
            elif not self._chunk_head():
                break
        return bytes(body)

    def _chunk_head(self) -> bool:
        """Take one line between chunks; `False` when it is not here yet."""
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise not_http()
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        if self._trailer:
            self.done = not line
            return True
        if not line:
            return True
        try:
            self._left = int(line.partition(b";")[0], 16)
        except ValueError:
            raise not_http() from None
        self._trailer = self._left == 0
        return True


class LineParser:
    """Takes pieces of an NDJSON stream and gives out its values.

    Bytes that follow their line are put into it as `data`.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._line: dict[str, Any] | None = None
        """An output line whose bytes are still to come."""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the values of the lines that became whole."""
        self._rest += data
        found: list[dict[str, Any]] = []
        at = 0
        while True:
            if self._line is None:
                end = self._rest.find(b"\n", at)
                if end < 0:
                    break
                self._take(self._rest[at:end], found)
                at = end + 1
            else:
                end = at + self._line["size"]
                if end > len(self._rest):
                    break
                self._line["data"] = self._rest[at:end]
                found.append(self._line)
                self._line = None
                at = end
        self._rest = self._rest[at:]
        return found

    def _take(self, text: bytes, found: list[dict[str, Any]]) -> None:
        if not text.strip():
            return
        line: dict[str, Any] = json.loads(text)
        if line.get("kind") == "output" and isinstance(line.get("size"), int):
            self._line = line
        else:
            found.append(line)


def not_http() -> DeepdError:
    """Return the error for an answer that no daemon of ours gives."""
    return DaemonDownError(
        "what answers at the socket does not speak HTTP", next_step="check the socket's path"
    )


def check(reply: Reply) -> Reply:
    """Return the reply, or raise the error that its problem body stands for."""
    if reply.status < 400:
        return reply
    try:
        body = reply.json()
    except ValueError:
        body = None
    from deepd.wire.problems import from_problem  # noqa: PLC0415 - what goes well needs it not

    if not isinstance(body, dict):
        raise DeepdError(f"the daemon answered {reply.status} without saying why")
    raise from_problem(body)
