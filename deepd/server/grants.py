"""Routes for grants: what is remembered, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from deepd.errors import BadRequestError, GoneError
from deepd.model.grant import Grant
from deepd.server.endpoint import Endpoint
from deepd.server.failures import NAMED
from deepd.server.parameter import CLIENT, SESSION, choice
from deepd.server.replies import GrantList, GrantsEnded, GrantShown
from deepd.server.reply import json_reply
from deepd.server.request import caller_of, query_session, query_text
from deepd.server.services import Grants, Services
from deepd.wire.encode import fields_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp


class GrantRoutes:
    """Remembered approvals."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def endpoints(self) -> list[Endpoint]:
        """Return the table's lines."""
        return [
            Endpoint(
                "GET",
                "/v1/grants",
                self.all,
                "What is remembered, by whom, what is left of it; state=all shows what ended too",
                operator_only=True,
                reply=GrantList,
                parameters=(choice("state", "active", "all"), SESSION),
                fails=("gone",),
            ),
            Endpoint(
                "DELETE",
                "/v1/grants/{grant}",
                self.revoke,
                "End one: such calls are asked again",
                operator_only=True,
                reply=Grant,
                parameters=(CLIENT,),
                fails=(*NAMED, "gone", "conflict"),
            ),
            Endpoint(
                "DELETE",
                "/v1/grants",
                self.revoke_all,
                "End all, or those that were given in a session",
                operator_only=True,
                reply=GrantsEnded,
                parameters=(SESSION, CLIENT),
                fails=("gone",),
            ),
        ]

    async def all(self, request: Request) -> ASGIApp:
        state = query_text(request, "state", "active")
        if state not in {"active", "all"}:
            raise BadRequestError("state is one of active, all")
        session = query_session(request)
        found = self._grants().all(ended=state == "all")
        chosen = [grant for grant in found if session in (None, grant.session)]
        return json_reply(GrantList(grants=[_shown(grant) for grant in chosen]))

    async def revoke(self, request: Request) -> ASGIApp:
        return json_reply(self._grants().revoke(request.path_params["grant"], caller_of(request)))

    async def revoke_all(self, request: Request) -> ASGIApp:
        ended = self._grants().revoke_all(query_session(request), caller_of(request))
        return json_reply(GrantsEnded(grants=ended))

    def _grants(self) -> Grants:
        if self._services.grants is None:
            raise GoneError("this daemon remembers nothing")
        return self._services.grants


def _shown(grant: Grant) -> GrantShown:
    return cast("GrantShown", {**fields_of(grant), "left": grant.left})
