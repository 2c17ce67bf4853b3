"""Routes about the daemon as a whole: is it well, what is it, end it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepd.server.endpoint import Endpoint
from deepd.server.failures import BODY
from deepd.server.metrics import render_metrics
from deepd.server.parameter import number
from deepd.server.profiles import profile_states
from deepd.server.replies import AuditPage, DaemonInfo, Health, Stopping
from deepd.server.reply import Whole, json_reply
from deepd.server.request import query_number, read_model
from deepd.server.services import Services
from deepd.wire.models import StopRequest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

_MOST_ROWS = 10_000


class HealthRoutes:
    """Health, info, metrics, audit and the end."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def endpoints(self) -> list[Endpoint]:
        """Return the table's lines."""
        return [
            Endpoint(
                "GET",
                "/v1/health",
                self.health,
                "Whether daemon and engine are well",
                reply=Health,
            ),
            Endpoint(
                "GET",
                "/v1/info",
                self.info,
                "Versions, paths, engine",
                operator_only=True,
                reply=DaemonInfo,
            ),
            Endpoint(
                "GET",
                "/metrics",
                self.metrics,
                "Prometheus' text",
                operator_only=True,
                reply="text/plain",
            ),
            Endpoint(
                "GET",
                "/v1/audit",
                self.audit,
                "Decisions and calls, each chained to the one before",
                operator_only=True,
                reply=AuditPage,
                parameters=(number("after"), number("limit", highest=_MOST_ROWS)),
            ),
            Endpoint(
                "POST",
                "/v1/stop",
                self.stop,
                "End the daemon",
                operator_only=True,
                body=StopRequest,
                taken=Stopping,
                fails=BODY,
            ),
        ]

    async def health(self, _request: Request) -> ASGIApp:
        """Answer from memory: a stuck engine must not make this slow."""
        engine = self._services.engine()
        status = "ok" if engine.get("state", "up") == "up" else "degraded"
        return json_reply({"status": status, "engine": engine})

    async def info(self, _request: Request) -> ASGIApp:
        services = self._services
        return json_reply(
            {
                **services.info(),
                "engine": services.engine(),
                "profiles": profile_states(services),
                "last_event": services.events.last(),
            }
        )

    async def metrics(self, _request: Request) -> ASGIApp:
        text = render_metrics(self._services)
        return Whole(text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    async def audit(self, request: Request) -> ASGIApp:
        after = query_number(request, "after", 0)
        limit = query_number(request, "limit", 1000, highest=_MOST_ROWS)
        rows = self._services.audit(after, limit) if self._services.audit else ()
        return json_reply(AuditPage(rows=rows))

    async def stop(self, request: Request) -> ASGIApp:
        wanted = await read_model(request, StopRequest, self._services.limits)
        self._services.stop(wanted.keep)
        return json_reply(Stopping(stopping=True, keep=wanted.keep), 202)
