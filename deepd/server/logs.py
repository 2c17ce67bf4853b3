"""Route for a session's log: what was printed and what happened, searched in the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepd.errors import BadRequestError
from deepd.server.endpoint import Endpoint
from deepd.server.failures import NAMED
from deepd.server.parameter import NO_ZERO, Parameter, flag, number
from deepd.server.reply import NDJSON, batches_reply
from deepd.server.request import query_flag, query_number, query_text
from deepd.server.services import Services
from deepd.server.sessions import session_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

_MAX_SEARCH = 1000
_MOST_LINES = 100_000
_SEARCH = Parameter(
    "search", {"type": "string", "maxLength": _MAX_SEARCH, "pattern": NO_ZERO}, "only such lines"
)


class LogRoutes:
    """Logs."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def endpoints(self) -> list[Endpoint]:
        """Return the table's lines."""
        return [
            Endpoint(
                "GET",
                "/v1/sessions/{session}/logs",
                self.lines,
                "Output and life of a session as NDJSON",
                reply=NDJSON,
                parameters=(
                    number("after"),
                    _SEARCH,
                    flag("follow"),
                    number("limit", highest=_MOST_LINES),
                    number(
                        "newest",
                        "of each tenth of a second only so many of the newest",
                        highest=_MOST_LINES,
                    ),
                ),
                fails=NAMED,
            )
        ]

    async def lines(self, request: Request) -> ASGIApp:
        search = query_text(request, "search", "")
        if len(search) > _MAX_SEARCH:
            raise BadRequestError(f"search is longer than {_MAX_SEARCH} characters")
        name = session_of(request)
        self._services.sessions.view(name)
        return batches_reply(
            self._services.logs.lines(
                name,
                after=query_number(request, "after", 0),
                search=search,
                follow=query_flag(request, "follow"),
                limit=query_number(request, "limit", 1000, highest=_MOST_LINES),
                newest=query_number(request, "newest", 0, highest=_MOST_LINES),
            )
        )
