"""Replies: whole JSON, or lines and bytes that stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from deepd.errors import DeepdError
from deepd.model.call import Chunk
from deepd.server.request import given_up_when_gone
from deepd.wire.encode import encode, encode_line, output_line, raw_output_line
from deepd.wire.problems import CONTENT_TYPE, status_of, to_problem

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

NDJSON = "application/x-ndjson"
RAW_LINES = f"{NDJSON}; bytes=raw"
SSE = "text/event-stream"
OCTETS = "application/octet-stream"

Headers = Iterable[tuple[bytes, bytes]]


class Whole:
    """A reply that is complete: its bytes and their kind."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, body: bytes, content_type: str, status: int = 200, headers: Headers = ()):
        self._body = body
        self._status = status
        self._headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", b"%d" % len(body)),
            *headers,
        ]

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        with scope["state"]["peer"].joined.as_one():
            await send(
                {"type": "http.response.start", "status": self._status, "headers": self._headers}
            )
            await send({"type": "http.response.body", "body": self._body})


class Stream:
    """A reply whose pieces come as they are made; waiting for them ends with the caller."""

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        content_type: str,
        status: int = 200,
        headers: Headers = (),
    ) -> None:
        self._pieces = pieces
        self._status = status
        self._headers = [(b"content-type", content_type.encode()), *headers]

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        start = {
            "type": "http.response.start",
            "status": self._status,
            "headers": self._headers,
        }
        with given_up_when_gone(Request(scope)):
            try:
                await send(start)
                async for piece in self._pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:
                if isinstance(self._pieces, AsyncGenerator):
                    await self._pieces.aclose()
        await send({"type": "http.response.body", "body": b""})


def json_reply(value: Any, status: int = 200, headers: Headers = ()) -> Whole:
    """Return a value as JSON; dataclasses by their fields."""
    return Whole(encode(value), "application/json", status, headers)


def empty_reply() -> Whole:
    """Return what says only that it was done."""
    return Whole(b"{}", "application/json")


def lines_reply(values: AsyncIterator[Any]) -> Stream:
    """Return values as NDJSON; an error after the first line becomes the last line."""
    return Stream(_lines(values), NDJSON)


def output_reply(request: Request, values: AsyncIterator[Any]) -> Stream:
    """Return values as NDJSON, in which output is as the caller accepts it: packed, or raw."""
    if RAW_LINES in request.headers.get("accept", ""):
        return Stream(_lines(values, raw_output_line), RAW_LINES)
    return lines_reply(values)


def batches_reply(batches: AsyncIterator[Sequence[Any]]) -> Stream:
    """Return values as NDJSON, those that come together in one piece."""
    return Stream(_batches(batches), NDJSON)


async def _batches(batches: AsyncIterator[Sequence[Any]]) -> AsyncIterator[bytes]:
    try:
        async for batch in batches:
            yield b"".join(map(encode_line, batch))
    except DeepdError as error:
        yield _error_line(error)


async def _lines(
    values: AsyncIterator[Any], of_output: Callable[[Chunk], bytes] = output_line
) -> AsyncIterator[bytes]:
    try:
        async for value in values:
            yield of_output(value) if isinstance(value, Chunk) else encode_line(value)
    except DeepdError as error:
        yield _error_line(error)


def _error_line(error: DeepdError) -> bytes:
    return encode_line({"kind": "error", "error": to_problem(error)})


def problem_reply(
    error: DeepdError, *, status: int | None = None, extra: Mapping[str, Any] | None = None
) -> Whole:
    """Return an error as its problem body."""
    code = status or status_of(error)
    body = {**to_problem(error, **(extra or {})), "status": code}
    return Whole(encode(body), CONTENT_TYPE, code)


def location(path: str) -> Headers:
    """Return the header that says where to come back to."""
    return ((b"location", path.encode("ascii")),)
