"""Routes for profiles: their states, reading them again, and what that would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepd.errors import NotFoundError
from deepd.model.ids import parse_profile_name
from deepd.server.endpoint import Endpoint
from deepd.server.failures import NAMED
from deepd.server.replies import Plan, ProfileInForce, ProfileList
from deepd.server.reply import json_reply
from deepd.server.services import Services
from deepd.wire.encode import fields_of
from deepd.wire.problems import profile_problem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp


class ProfileRoutes:
    """Profiles, reload, plan."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def endpoints(self) -> list[Endpoint]:
        """Return the table's lines."""
        return [
            Endpoint(
                "GET",
                "/v1/profiles",
                self.all,
                "The profiles and their states",
                operator_only=True,
                reply=ProfileList,
            ),
            Endpoint(
                "GET",
                "/v1/profiles/{profile}",
                self.one,
                "One profile",
                operator_only=True,
                reply=ProfileInForce,
                fails=NAMED,
            ),
            Endpoint(
                "POST",
                "/v1/reload",
                self.reload,
                "Read the profiles again",
                operator_only=True,
                reply=ProfileList,
                fails=("bad-profile",),
            ),
            Endpoint(
                "GET",
                "/v1/plan",
                self.plan,
                "What the next look would do",
                operator_only=True,
                reply=Plan,
            ),
        ]

    async def all(self, _request: Request) -> ASGIApp:
        return json_reply({"profiles": profile_states(self._services)})

    async def one(self, request: Request) -> ASGIApp:
        name = parse_profile_name(request.path_params["profile"])
        for state in profile_states(self._services):
            if state["name"] == name:
                return json_reply({**state, "profile": self._content(state)})
        raise NotFoundError(f"no profile {name}", next_step="see GET /v1/profiles")

    async def reload(self, _request: Request) -> ASGIApp:
        await self._services.reload()
        return json_reply({"profiles": profile_states(self._services)})

    async def plan(self, _request: Request) -> ASGIApp:
        return json_reply({"actions": self._services.plan()})

    def _content(self, state: dict[str, object]) -> object:
        """Return what is in force; a profile that never was good has nothing."""
        try:
            return self._services.profiles.get(parse_profile_name(str(state["name"])))
        except NotFoundError:
            return None


def profile_states(services: Services) -> list[dict[str, object]]:
    """Return how each profile is, with its problems as flat places."""
    return [
        {**fields_of(state), "problems": [profile_problem(item) for item in state.problems]}
        for state in services.profiles.states()
    ]
