"""Routes for events: lines or server-sent events, from a number on, with no gap."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from deepd.errors import BadRequestError
from deepd.model.event import Dropped, Event
from deepd.model.ids import SessionName
from deepd.server.endpoint import Endpoint
from deepd.server.parameter import SESSION, flag, header, number
from deepd.server.reply import NDJSON, SSE, Stream, lines_reply
from deepd.server.request import (
    accepts,
    query_flag,
    query_number,
    query_session,
    refuse_agents,
)
from deepd.server.services import Events, Services
from deepd.wire.encode import encode

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

_PAGE = 1000
_NONE = -1
_LAST_EVENT = header(
    "Last-Event-ID",
    {"type": "string", "pattern": "^[0-9]{1,18}$"},
    "as `after`, which it goes before: a browser sends it when it comes back",
)


class EventRoutes:
    """Events."""

    def __init__(self, services: Services) -> None:
        self._events = services.events

    def endpoints(self) -> list[Endpoint]:
        """Return the table's lines."""
        return [
            Endpoint(
                "GET",
                "/v1/events",
                self.all,
                "Events after a number, as NDJSON or SSE; a `dropped` line says where to resume",
                reply=NDJSON,
                parameters=(number("after"), flag("follow"), SESSION, _LAST_EVENT),
                fails=("gone",),
            )
        ]

    async def all(self, request: Request) -> ASGIApp:
        session = _session(request)
        after = _after(request)
        follow = query_flag(request, "follow")
        if after is None and not follow:
            after = max(0, self._events.last() - _PAGE)
        if after is not None:
            # What is not kept any more is 410 here, before the stream begins.
            self._events.since(after, 1)
        events = self._events.follow(after) if follow else _stored(self._events, after or 0)
        chosen = _of_session(events, session)
        if accepts(request, SSE):
            return Stream(_sse(chosen), SSE, headers=((b"cache-control", b"no-store"),))
        return lines_reply(_lines(chosen))


def _session(request: Request) -> SessionName | None:
    session = query_session(request)
    if session is None:
        refuse_agents(request)
    return session


def _after(request: Request) -> int | None:
    """Return the last number that the caller has; a reconnecting browser sends it as a header."""
    asked = query_number(request, "after", _NONE)
    header = request.headers.get("last-event-id", "")
    if header:
        if not header.isdigit() or len(header) > 18:
            raise BadRequestError("Last-Event-ID is the number of an event")
        return int(header)
    return None if asked == _NONE else asked


async def _stored(events: Events, after: int) -> AsyncIterator[Event | Dropped]:
    while page := events.since(after, _PAGE):
        for event in page:
            yield event
        after = page[-1].id


async def _of_session(
    events: AsyncIterator[Event | Dropped], session: SessionName | None
) -> AsyncIterator[Event | Dropped]:
    async for event in events:
        if session is None or isinstance(event, Dropped) or event.session == session:
            yield event


async def _lines(events: AsyncIterator[Event | Dropped]) -> AsyncIterator[Any]:
    async for event in events:
        yield _value(event)


async def _sse(events: AsyncIterator[Event | Dropped]) -> AsyncIterator[bytes]:
    async for event in events:
        number = b"id: %d\n" % event.id if isinstance(event, Event) else b""
        kind = event.kind if isinstance(event, Event) else "dropped"
        yield number + b"event: %b\ndata: %b\n\n" % (kind.encode(), encode(_value(event)))


def _value(event: Event | Dropped) -> Any:
    match event:
        case Dropped(resume_after=number):
            return {"kind": "dropped", "resume_after": number}
        case Event():
            return event
