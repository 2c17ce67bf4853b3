"""Endpoint: one line of the table of routes; the router and the schema are made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from deepd.server.request import refuse_agents

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
    """The type of the JSON reply, for the schema."""
    query: tuple[str, ...] = ()

    def route(self) -> BaseRoute:
        """Return it as the router wants it."""
        handle = _for_operators(self.handle) if self.operator_only else self.handle
        return Route(self.path, handle, methods=[self.method])


def _for_operators(handle: Handle) -> Handle:
    async def checked(request: Request) -> ASGIApp:
        refuse_agents(request)
        return await handle(request)

    return checked
