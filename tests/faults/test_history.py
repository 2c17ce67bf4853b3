"""The history checker finds each kind of lie; a checker that finds nothing proves nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from deepd.model.approval import Approval
from deepd.model.audit import AuditRow
from deepd.model.call import Call, CallState
from tests.faults.history import History, Told, problems_of
from tests.unit.store_rows import make_approval, make_call

ASKED = {"command": "echo mark-a >> marks"}
TRAIL = ("approval_asked", "approval_decided", "call_sent", "call_ended")
EVENTS = Counter(call_received=1, approval_asked=1, call_started=1, call_finished=1)


def make_history(call: Call, approval: Approval | None, trail: tuple[str, ...]) -> History:
    rows = [AuditRow(n, 1.0, kind, call.id, "{}", "", "") for n, kind in enumerate(trail, 1)]
    return History(
        calls=[call],
        approvals={approval.id: approval} if approval else {},
        audit={call.id: rows},
        broken_audit_row=None,
        kinds={call.id: EVENTS},
        event_ids=[1, 2, 3, 4],
    )


def approved_and_finished() -> tuple[Call, Approval]:
    call = make_call(CallState.FINISHED, args=ASKED, ended_at=2.0, exit_code=0)
    approval = replace(make_approval(call.id), args=ASKED, state="approved", approved_args=ASKED)
    return call, approval


def problems(
    marks: str = "mark-a",
    *,
    approval: dict[str, object] | None = None,
    trail: tuple[str, ...] = TRAIL,
    told: Told | None = None,
    **call: object,
) -> str:
    """Return what is found in an honest history in which some things are otherwise."""
    made, shown = approved_and_finished()
    changed = replace(made, **call)  # type: ignore[arg-type]
    shown = replace(shown, **(approval or {}))  # type: ignore[arg-type]
    history = make_history(changed, shown, trail)
    return "; ".join(problems_of(history, Counter(marks.split()), told or Told()))


def test_an_honest_history_has_no_problem() -> None:
    assert problems() == ""
    assert problems("", state=CallState.CANCELLED, trail=TRAIL[:2] + TRAIL[3:]) == ""
    assert problems("", state=CallState.LOST) == ""


@pytest.mark.parametrize(
    ("found", "case"),
    [
        ("ran twice", {"marks": "mark-a mark-a"}),
        ("never ran", {"marks": ""}),
        ("no call has it", {"marks": "mark-a mark-b"}),
        ("ran unapproved: its approval is denied", {"approval": {"state": "denied"}}),
        ("ran unapproved: it was never sent", {"state": CallState.DENIED}),
        ("ran unapproved: it was never sent", {"state": CallState.HELD, "ended_at": None}),
        ("ran unapproved: it was never sent", {"trail": (*TRAIL[:2], "call_ended")}),
        ("no decision before it was sent", {"trail": ("call_sent", *TRAIL[:2], "call_ended")}),
        ("ran otherwise than approved", {"approval": {"approved_args": {"command": "true"}}}),
        ("as it was asked", {"args": {"command": "mark-c"}, "approval": {"approved_args": {}}}),
        ("was sent twice", {"trail": (*TRAIL, "call_sent")}),
        ("ended 2 times", {"trail": (*TRAIL, "call_ended")}),
        ("has no end", {"ended_at": None}),
        ("is forgotten", {"told": Told(taken={"key": "0" * 32})}),
    ],
)
def test_each_lie_is_found(found: str, case: dict[str, object]) -> None:
    assert found in problems(**case)  # type: ignore[arg-type]


def test_a_decision_that_was_acknowledged_must_stand() -> None:
    call, approval = approved_and_finished()
    history = make_history(call, approval, TRAIL)
    assert problems_of(history, Counter(["mark-a"]), Told(decided={call.id: "approved"})) == []
    (found,) = problems_of(history, Counter(["mark-a"]), Told(decided={call.id: "denied"}))
    assert "was acknowledged as denied and is approved" in found


def test_gaps_and_broken_chains_are_found() -> None:
    history = make_history(*approved_and_finished(), TRAIL)
    marks = Counter(["mark-a"])
    assert problems_of(replace(history, event_ids=[1, 2, 4]), marks, Told()) == [
        "the events have a gap"
    ]
    assert problems_of(replace(history, broken_audit_row=7), marks, Told()) == [
        "the audit trail is broken at row 7"
    ]
