"""Routes for the policy: what it would say to a call."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepd.daemon.backtest import Backtest
from deepd.errors import GoneError
from deepd.model.ids import parse_profile_name, parse_session_name
from deepd.server.endpoint import Endpoint
from deepd.server.failures import BODY, NAMED
from deepd.server.replies import ExplanationShown
from deepd.server.reply import json_reply
from deepd.server.request import read_model
from deepd.server.services import Policy, Services
from deepd.wire.encode import fields_of
from deepd.wire.models import BacktestRequest, ExplainRequest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp


class PolicyRoutes:
    """Questions about decisions."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def endpoints(self) -> list[Endpoint]:
        """Return the table's lines."""
        return [
            Endpoint(
                "POST",
                "/v1/policy/explain",
                self.explain,
                "What would be decided about a call, why, and the smallest edit that changes it",
                operator_only=True,
                body=ExplainRequest,
                reply=ExplanationShown,
                fails=(*NAMED, *BODY, "gone", "bad-profile"),
            ),
            Endpoint(
                "POST",
                "/v1/policy/backtest",
                self.backtest,
                "What a profile would have said to the stored calls: what passes, is held, denied",
                operator_only=True,
                body=BacktestRequest,
                reply=Backtest,
                fails=(*NAMED, *BODY, "gone", "bad-profile"),
            ),
        ]

    async def backtest(self, request: Request) -> ASGIApp:
        wanted = await read_model(request, BacktestRequest, self._services.limits)
        found = await policy_of(self._services).backtest(
            file=Path(wanted.file) if wanted.file else None,
            profile=parse_profile_name(wanted.profile) if wanted.profile else None,
            of=parse_profile_name(wanted.of) if wanted.of else None,
            since=wanted.since,
        )
        return json_reply(found)

    async def explain(self, request: Request) -> ASGIApp:
        wanted = await read_model(request, ExplainRequest, self._services.limits)
        found = await policy_of(self._services).explain(
            wanted.tool,
            wanted.args,
            profile=parse_profile_name(wanted.profile) if wanted.profile else None,
            session=parse_session_name(wanted.session) if wanted.session else None,
        )
        return json_reply({**fields_of(found), "edits": edit_lines(found.edits)})


def policy_of(services: Services) -> Policy:
    """Return who answers, or raise `GoneError`."""
    if services.policy is None:
        raise GoneError("this daemon answers no questions about its policy")
    return services.policy


def edit_lines(edits: Iterable[Any]) -> list[dict[str, Any]]:
    """Return edits of a profile by their fields, and each as a sentence."""
    return [{**fields_of(edit), "text": str(edit)} for edit in edits]
