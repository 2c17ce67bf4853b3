"""The stored calls as the policy's history: what was asked, and what a person said to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deepd.model.approval import Approval
from deepd.model.call import Call, CallState
from deepd.model.ids import CallId
from deepd.policy.history import Past
from deepd.store.store import Store

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Told:
    """One stored call as it is told of."""

    id: CallId
    session: str
    tool: str
    args: dict[str, Any]
    """What was asked; what was approved in its place is not it."""
    past: Past
    at: float
    rule: str
    """By which rule it went as it did then."""


def history(
    store: Store, *, session: str = "", profile: str = "", since: float = 0.0, limit: int = 10_000
) -> Iterator[list[Told]]:
    """Yield the stored calls in pages, the newest first."""
    before, left = None, limit
    while left > 0:
        page = store.calls_before(before, min(_PAGE, left), session=session, profile=profile)
        if not page:
            return
        approvals = store.approvals_of([call.id for _, call in page])
        yield [_told(call, approvals.get(call.id)) for _, call in page if call.created_at >= since]
        before, left = page[-1][0], left - len(page)
        if page[-1][1].created_at < since:
            return


def _told(call: Call, approval: Approval | None) -> Told:
    args = approval.args if approval else call.args
    past = _past(call, approval)
    return Told(call.id, call.session, call.tool, args, past, call.created_at, call.rule)


def _past(call: Call, approval: Approval | None) -> Past:
    if approval is None:
        if call.grant:
            return "approved"
        return "denied" if call.state is CallState.DENIED else "alone"
    if approval.state == "approved":
        return "approved"
    if approval.state == "denied":
        # The policy itself denies what is held when the profile changes.
        return "refused" if approval.decided_by.startswith("uid ") else "denied"
    return "unanswered"
