"""Endpoint: one line of the table of routes; the router and the schema are made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from deepd.server.parameter import Parameter
from deepd.server.request import refuse_agents, refuse_unknown

if TYPE_CHECKING:
    from pydantic import BaseModel

Handle = Callable[[Request], Awaitable[ASGIApp]]


@dataclass(frozen=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str
    handle: Handle
    summary: str
    operator_only: bool = False
    body: type[BaseModel] | None = None
    """What the request's JSON must be; `None` for none, or for raw bytes."""
    reply: Any = None
    """The type of the JSON reply, for the schema; a text says which other content it is."""
    taken: Any = None
    """The type of the JSON reply with 202, where the answer may be that."""
    raw: bool = False
    """The request's body is bytes as they are."""
    parameters: tuple[Parameter, ...] = ()
    """What may stand in query and headers."""
    fails: tuple[str, ...] = ()
    """The codes of the problems that it may answer, beside those that any request has."""

    def route(self) -> BaseRoute:
        """Return it as the router wants it."""
        # As an application and not as a function: the guard is the one place where errors end.
        return Route(self.path, _Handled(self), methods=[self.method])


class _Handled:
    """A line of the table as an application."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._handle = endpoint.handle
        self._operator_only = endpoint.operator_only
        self._query = frozenset(one.name for one in endpoint.parameters if one.place == "query")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        if self._operator_only:
            refuse_agents(request)
        refuse_unknown(request, self._query)
        reply = await self._handle(request)
        await reply(scope, receive, send)
