"""Reading requests: who asks, the query, and bodies within their limits."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from deepd.errors import ArgumentsError, BadRequestError, ForbiddenError, TooLargeError
from deepd.model.caller import Caller
from deepd.model.ids import SessionName, parse_session_name
from deepd.server.limits import Limits
from deepd.server.protocol import Peer

if TYPE_CHECKING:
    from starlette.requests import Request

M = TypeVar("M", bound=BaseModel)
_MAX_CLIENT = 64
_MAX_KEY = 200
_MAX_PROBLEMS = 20
_TIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)
"""Seconds since the epoch, as `created_at` of a session is written."""


def peer_of(request: Request) -> Peer:
    """Return who is at the other end of the connection."""
    peer: Peer = request.scope["state"]["peer"]
    return peer


def caller_of(request: Request) -> Caller:
    """Return the proven peer together with the name that it gives itself."""
    peer = peer_of(request)
    return Caller(uid=peer.uid, pid=peer.pid, role=peer.role, client=_client_name(request))


def _client_name(request: Request) -> str:
    name = _header(request, b"x-deepd-client")
    if len(name) > _MAX_CLIENT or not name.isprintable():
        raise BadRequestError(
            "X-Deepd-Client is not a name", next_step=f"use up to {_MAX_CLIENT} printable letters"
        )
    return name


def idempotency_key(request: Request) -> str:
    """Return the key under which a repeated request is the same call; empty without one."""
    key = _header(request, b"idempotency-key")
    if len(key) > _MAX_KEY or not key.isprintable():
        raise BadRequestError(
            "Idempotency-Key is not a key", next_step=f"use up to {_MAX_KEY} printable letters"
        )
    return key


def session_made(request: Request) -> float | None:
    """Return when the session was made that the caller means; `None` for whichever there is."""
    text = _sent_header(request, b"x-deepd-session-made")
    if text is None:
        return None
    if _TIME.fullmatch(text) is None:
        raise BadRequestError(
            "X-Deepd-Session-Made is not a time", next_step="send the session's created_at"
        )
    return float(text)


def _header(request: Request, name: bytes) -> str:
    return _sent_header(request, name) or ""


def _sent_header(request: Request, name: bytes) -> str | None:
    """Return a header; `None` where it was not sent, which an empty one was."""
    for key, value in request.scope["headers"]:
        if key == name:
            try:
                return str(value.decode())
            except UnicodeDecodeError:
                raise BadRequestError(f"the header {name.decode()} is not UTF-8") from None
    return None


def accepts(request: Request, content_type: str) -> bool:
    """Whether the caller asked for this kind of answer by name."""
    return content_type in _header(request, b"accept")


def wants_no_wait(request: Request) -> bool:
    """Whether the caller prefers to come back for the result."""
    return "respond-async" in _header(request, b"prefer")


def goes_with_caller(request: Request) -> bool:
    """Whether the call is of use to this caller alone, and ends when the caller goes away."""
    return _header(request, b"x-deepd-when-gone") == "cancel"


@contextmanager
def given_up_when_gone(request: Request) -> Iterator[None]:
    """Cancel the waiting inside when the caller goes away; what it waits for goes on."""
    peer = peer_of(request)
    task = asyncio.current_task()
    if peer.is_gone or task is None:
        raise ClientDisconnect
    peer.waiting.add(task)
    try:
        yield
    finally:
        peer.waiting.discard(task)


async def read_model(request: Request, model: type[M], limits: Limits) -> M:
    """Return the JSON body as a request model; an empty body is an empty object."""
    body = await read_bytes(request, limits.json, limits.body_seconds)
    try:
        value = _DECODER.decode(body.decode("utf-8", "surrogatepass")) if body else {}
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _unfit(error) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _unfit(error: ValidationError) -> BadRequestError:
    found = [
        f"{'.'.join(str(part)[:80] for part in item['loc']) or 'body'}: {item['msg'][:200]}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f" (and {len(found) - _MAX_PROBLEMS} more)" if len(found) > _MAX_PROBLEMS else ""
    return ArgumentsError(
        "; ".join(found[:_MAX_PROBLEMS]) + more, next_step="see GET /v1/openapi.json"
    )


async def read_bytes(request: Request, limit: int, seconds: float) -> bytes:
    """Return the whole body, which must be small and arrive in time."""
    declared = declared_size(request)
    if declared is not None and declared > limit:
        raise _too_large(limit)
    if request.scope.get("deepd.whole"):
        # All of it is here, as with most requests: there is nothing to wait for.
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        whole: bytes = message["body"]
        if len(whole) > limit:
            raise _too_large(limit)
        return whole
    received = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                received += piece
                if len(received) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise SlowBodyError(f"the body did not arrive within {seconds:g} s") from None
    return bytes(received)


async def read_pieces(request: Request, limit: int, seconds: float) -> AsyncIterator[bytes]:
    """Yield a body of any size up to the limit; each silence is bounded, the whole is not."""
    declared = declared_size(request)
    if declared is not None and declared > limit:
        raise _too_large(limit)
    total = 0
    pieces = request.stream()
    while True:
        try:
            async with asyncio.timeout(seconds):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise SlowBodyError(f"nothing of the body came for {seconds:g} s") from None
        if piece is None:
            return
        total += len(piece)
        if total > limit:
            raise _too_large(limit)
        if piece:
            yield piece


class SlowBodyError(BadRequestError):
    """The body did not come in time; answered as 408."""


def declared_size(request: Request) -> int | None:
    """Return what `Content-Length` says, where there is one."""
    text = _header(request, b"content-length")
    return int(text) if text.isdigit() else None


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"the body is larger than {limit} bytes")


def _query(request: Request) -> dict[str, str]:
    """Return the query's parameters; file names that are no UTF-8 keep their bytes."""
    parsed: dict[str, str] | None = request.scope.get("deepd.query")
    if parsed is None:
        text = request.scope["query_string"].decode("latin-1")
        pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
        parsed = request.scope["deepd.query"] = dict(pairs)
        if len(parsed) < len(pairs):
            raise BadRequestError("a query parameter is given twice")
    return parsed


def refuse_unknown(request: Request, known: AbstractSet[str]) -> None:
    """Raise for a query parameter that the route does not have: ignored, it would mislead."""
    if not request.scope["query_string"]:
        return
    for name in _query(request):
        if name not in known:
            takes = ", ".join(sorted(known)) or "none"
            raise BadRequestError(
                f"there is no query parameter {name[:80]!r} here", next_step=f"it takes: {takes}"
            )


def query_text(request: Request, name: str, default: str | None = None) -> str:
    """Return a query parameter; without a default it is required."""
    value = _query(request).get(name, default)
    if value is None:
        raise BadRequestError(f"the query parameter {name} is missing")
    if "\0" in value:
        raise BadRequestError(f"the query parameter {name} has a zero byte in it")
    return value


def query_flag(request: Request, name: str) -> bool:
    """Return whether a query parameter is on: `1` or `true`."""
    match query_text(request, name, "0").lower():
        case "0" | "false":
            return False
        case "1" | "true":
            return True
        case _:
            raise BadRequestError(f"the query parameter {name} is 1 or 0")


def query_number(
    request: Request, name: str, default: int, *, highest: int = 1 << 62, base: int = 10
) -> int:
    """Return a whole, not negative query parameter."""
    if name not in _query(request):
        return default
    text = query_text(request, name)
    digits = "01234567" if base == 8 else "0123456789"
    if not 0 < len(text) <= 19 or set(text) - set(digits) or int(text, base) > highest:
        raise BadRequestError(f"the query parameter {name} is a number up to {highest}")
    return int(text, base)


def query_seconds(request: Request, name: str, highest: float) -> float | None:
    """Return a query parameter in seconds, at most `highest`."""
    if name not in _query(request):
        return None
    try:
        seconds = float(query_text(request, name))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise BadRequestError(f"the query parameter {name} is a number of seconds")
    return min(seconds, highest)


def query_session(request: Request) -> SessionName | None:
    """Return the session that the query names; `None` for all of them."""
    if "session" not in _query(request):
        return None
    return parse_session_name(query_text(request, "session"))


def refuse_agents(request: Request) -> None:
    """Raise for a caller that came through the agents' socket."""
    if peer_of(request).role != "operator":
        raise ForbiddenError(
            "the agents' socket may not do this",
            next_step="a person does it, through the operator's socket",
        )
