"""Routes for sessions: get or make one, look at it, change what is wanted of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from deepd.model.ids import SessionName, parse_profile_name, parse_session_name
from deepd.model.sandbox import SandboxStats
from deepd.model.session import SessionView
from deepd.server.endpoint import Endpoint, Handle
from deepd.server.failures import BODY, NAMED, REACH
from deepd.server.parameter import flag
from deepd.server.replies import Done, SessionList
from deepd.server.reply import empty_reply, json_reply
from deepd.server.request import query_flag, read_model
from deepd.server.services import Services
from deepd.wire.models import OpenSession

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

_ONE = "/v1/sessions/{session}"


def session_of(request: Request) -> SessionName:
    """Return the session that the path names."""
    return parse_session_name(request.path_params["session"])


class SessionRoutes:
    """Sessions."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def endpoints(self) -> list[Endpoint]:
        """Return the table's lines."""
        sessions = self._services.sessions
        return [
            Endpoint(
                "GET",
                "/v1/sessions",
                self.all,
                "All sessions as observed",
                operator_only=True,
                reply=SessionList,
            ),
            Endpoint(
                "POST",
                "/v1/sessions",
                self.open,
                "Get or make a session",
                body=OpenSession,
                reply=SessionView,
                fails=(*NAMED, *BODY, "conflict", "bad-profile"),
            ),
            Endpoint("GET", _ONE, self.one, "One session", reply=SessionView, fails=NAMED),
            Endpoint(
                "DELETE",
                _ONE,
                self.close,
                "Remove it; its workspace stays unless purge",
                operator_only=True,
                reply=Done,
                parameters=(flag("purge"),),
                fails=REACH,
            ),
            Endpoint(
                "GET",
                f"{_ONE}/stats",
                self.stats,
                "What its sandbox uses now",
                reply=SandboxStats,
                fails=REACH,
            ),
            self._change("start", sessions.start, "Want it running"),
            self._change("stop", sessions.stop, "Stop its sandbox"),
            self._change("pause", sessions.pause, "Freeze its processes"),
            self._change("resume", sessions.resume, "Thaw them"),
        ]

    async def all(self, _request: Request) -> ASGIApp:
        # The number is read first: following after it has no gap, at worst a repetition.
        last = self._services.events.last()
        return json_reply(SessionList(sessions=self._services.sessions.list(), last_event=last))

    async def open(self, request: Request) -> ASGIApp:
        wanted = await read_model(request, OpenSession, self._services.limits)
        profile = None if wanted.profile is None else parse_profile_name(wanted.profile)
        return json_reply(self._services.sessions.open(parse_session_name(wanted.name), profile))

    async def one(self, request: Request) -> ASGIApp:
        return json_reply(self._services.sessions.view(session_of(request)))

    async def close(self, request: Request) -> ASGIApp:
        purge = query_flag(request, "purge")
        await self._services.sessions.close(session_of(request), purge=purge)
        return empty_reply()

    async def stats(self, request: Request) -> ASGIApp:
        return json_reply(await self._services.stats(session_of(request)))

    def _change(
        self, verb: str, change: Callable[[SessionName], Awaitable[object]], summary: str
    ) -> Endpoint:
        async def handle(request: Request) -> ASGIApp:
            name = session_of(request)
            await change(name)
            return json_reply(self._services.sessions.view(name))

        changed: Handle = handle
        return Endpoint(
            "POST",
            f"{_ONE}/{verb}",
            changed,
            summary,
            operator_only=True,
            reply=SessionView,
            fails=REACH,
        )
