"""Routes for approvals: what waits, and the answer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from deepd.errors import BadRequestError
from deepd.model.approval import Approval, ApprovalState, Approved, Decision, Denied
from deepd.model.grant import Remember
from deepd.server.endpoint import Endpoint
from deepd.server.failures import BODY, NAMED
from deepd.server.parameter import CLIENT, choice, header
from deepd.server.policy import edit_lines, policy_of
from deepd.server.replies import ApprovalList, ProposalShown
from deepd.server.reply import json_reply
from deepd.server.request import caller_of, query_text, read_model
from deepd.server.services import Services
from deepd.wire.encode import fields_of
from deepd.wire.models import DecisionRequest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

_STATES: tuple[ApprovalState, ...] = get_args(ApprovalState)
_IF_MATCH = header(
    "If-Match",
    {"type": "string", "pattern": '^"?[0-9a-f]{64}"?$'},
    "the fingerprint of what was shown",
).needed()


class ApprovalRoutes:
    """Approvals and their decisions."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def endpoints(self) -> list[Endpoint]:
        """Return the table's lines."""
        return [
            Endpoint(
                "GET",
                "/v1/approvals",
                self.all,
                "What waits for a decision",
                operator_only=True,
                reply=ApprovalList,
                parameters=(choice("state", *_STATES, "all"),),
            ),
            Endpoint(
                "GET",
                "/v1/approvals/{approval}",
                self.one,
                "One approval",
                operator_only=True,
                reply=Approval,
                fails=NAMED,
            ),
            Endpoint(
                "GET",
                "/v1/approvals/{approval}/proposal",
                self.proposal,
                "What may be remembered of it, and what else that would have let pass",
                operator_only=True,
                reply=ProposalShown,
                fails=(*NAMED, "gone"),
            ),
            Endpoint(
                "POST",
                "/v1/approvals/{approval}/decision",
                self.decide,
                "Approve or deny what was shown; If-Match has its fingerprint",
                operator_only=True,
                body=DecisionRequest,
                reply=Approval,
                parameters=(_IF_MATCH, CLIENT),
                fails=(*NAMED, *BODY, "fingerprint", "already-decided", "conflict"),
            ),
        ]

    async def all(self, request: Request) -> ASGIApp:
        state = _state(query_text(request, "state", "pending"))
        last = self._services.events.last()
        return json_reply(
            ApprovalList(approvals=self._services.approvals.list(state), last_event=last)
        )

    async def one(self, request: Request) -> ASGIApp:
        return json_reply(self._services.approvals.get(request.path_params["approval"]))

    async def proposal(self, request: Request) -> ASGIApp:
        approval = self._services.approvals.get(request.path_params["approval"])
        found = await policy_of(self._services).propose(approval)
        return json_reply({**fields_of(found), "edits": edit_lines(found.edits)})

    async def decide(self, request: Request) -> ASGIApp:
        fingerprint = _fingerprint(request)
        wanted = await read_model(request, DecisionRequest, self._services.limits)
        approval = self._services.approvals.get(request.path_params["approval"])
        return json_reply(
            self._services.approvals.decide(
                approval.id, fingerprint, _decision(wanted), caller_of(request)
            )
        )


def _state(text: str) -> ApprovalState | None:
    """Return the state that is asked for; `None` for all."""
    for state in _STATES:
        if state == text:
            return state
    if text == "all":
        return None
    raise BadRequestError(f"state is one of {', '.join(_STATES)}, all")


def _fingerprint(request: Request) -> str:
    """Return what was shown to the person who decides; nobody decides blindly."""
    fingerprint = request.headers.get("if-match", "").strip().strip('"')
    if not fingerprint:
        raise BadRequestError(
            "a decision names what was shown",
            next_step="send the approval's fingerprint as If-Match",
        )
    return fingerprint


def _decision(wanted: DecisionRequest) -> Decision:
    if wanted.decision == "approve":
        kept = wanted.remember
        remember = Remember(kept.scope, kept.count, kept.until) if kept else None
        return Approved(args=wanted.args, remember=remember)
    return (
        Denied(reason=wanted.reason, stop=wanted.stop)
        if wanted.reason
        else Denied(stop=wanted.stop)
    )
