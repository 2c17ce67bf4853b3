"""The application: every resource's routes behind one guard."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.routing import Router

import deepd
from deepd.server.approvals import ApprovalRoutes
from deepd.server.archive import ArchiveRoutes
from deepd.server.attach import AttachRoute
from deepd.server.bodies import remove_leftovers
from deepd.server.calls import CallRoutes
from deepd.server.endpoint import Endpoint
from deepd.server.events import EventRoutes
from deepd.server.execute import ExecuteRoutes
from deepd.server.files import FileRoutes
from deepd.server.grants import GrantRoutes
from deepd.server.guard import Guard
from deepd.server.health import HealthRoutes
from deepd.server.logs import LogRoutes
from deepd.server.policy import PolicyRoutes
from deepd.server.profiles import ProfileRoutes
from deepd.server.reply import Whole
from deepd.server.services import Services
from deepd.server.sessions import SessionRoutes
from deepd.wire.encode import encode

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send


def build_app(services: Services) -> ASGIApp:
    """Return the whole API as one ASGI application; nothing else may serve the same spool."""
    remove_leftovers(services.spool)
    routes = [endpoint.route() for endpoint in endpoints(services)]
    router = Router(
        [*routes, AttachRoute(services).route()], redirect_slashes=False, default=_nothing_here
    )
    return Guard(_Named(router))


def endpoints(services: Services) -> list[Endpoint]:
    """Return the table of routes; what is asked most comes first, as the router looks in order."""
    table = [
        *ExecuteRoutes(services).endpoints(),
        *CallRoutes(services).endpoints(),
        *HealthRoutes(services).endpoints(),
        *FileRoutes(services).endpoints(),
        *SessionRoutes(services).endpoints(),
        *ApprovalRoutes(services).endpoints(),
        *EventRoutes(services).endpoints(),
        *LogRoutes(services).endpoints(),
        *ProfileRoutes(services).endpoints(),
        *PolicyRoutes(services).endpoints(),
        *GrantRoutes(services).endpoints(),
        *ArchiveRoutes(services).endpoints(),
    ]

    @cache
    def schema() -> bytes:
        # Made when it is asked for: it takes a tenth of a second, which no start waits for.
        from deepd.server.openapi import openapi_document  # noqa: PLC0415 - as said

        return encode(openapi_document(table, deepd.__version__))

    async def openapi(_request: Request) -> ASGIApp:
        return Whole(schema(), "application/json")

    table.append(
        Endpoint("GET", "/v1/openapi.json", openapi, "This document", reply=dict[str, Any])
    )
    return table


class _Named:
    """Puts the application into the scope, so that the router raises instead of answering."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        await self._router(scope, receive, send)


async def _nothing_here(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise HTTPException(404)
