"""The history checker: reads the store and what commands wrote of themselves, and tells every lie.

Each command of a fault test adds one word, its mark, to a file of its workspace. The store says
which calls there were, what was decided about each and how it ended. The two must agree: nothing
ran unapproved, twice, or otherwise than approved; nothing that is called finished did not run; what
a client was told stands. The audit trail and the events must tell the same story.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from deepd.model.approval import Approval
from deepd.model.audit import AuditRow
from deepd.model.call import TERMINAL, Call, CallState
from deepd.store.store import Store

_MARK = re.compile(r"mark-[a-z0-9.-]*[a-z0-9]")
_NEVER_RAN = frozenset({CallState.DENIED, CallState.EXPIRED})
_NOT_SENT = frozenset({CallState.HELD, CallState.APPROVED, CallState.ADMITTED, CallState.RECEIVED})
_MANY = 10_000_000


@dataclass
class Told:
    """What clients were told, which therefore must stand whatever dies afterwards."""

    taken: dict[str, str] = field(default_factory=dict)
    """Key to call id, of every call that was acknowledged."""
    decided: dict[str, str] = field(default_factory=dict)
    """Call id to state, of every decision that was acknowledged."""


@dataclass(frozen=True)
class History:
    """All that was stored."""

    calls: list[Call]
    approvals: Mapping[str, Approval]
    audit: Mapping[str, list[AuditRow]]
    """By call, in order."""
    broken_audit_row: int | None
    kinds: Mapping[str, Counter[str]]
    """Kinds of events by call."""
    event_ids: list[int]

    @classmethod
    def read(cls, state: Path) -> History:
        """Read a state folder that no daemon has now."""
        with closing(Store.open(state)) as store:
            audit: dict[str, list[AuditRow]] = defaultdict(list)
            for row in store.audit(0, _MANY):
                audit[row.call].append(row)
            kinds: dict[str, Counter[str]] = defaultdict(Counter)
            events = store.events(0, _MANY)
            for event in events:
                kinds[event.call][event.kind] += 1
            return cls(
                calls=store.calls(limit=_MANY),
                approvals={found.id: found for found in store.approvals(None, _MANY)},
                audit=audit,
                broken_audit_row=store.broken_audit_row(),
                kinds=kinds,
                event_ids=[event.id for event in events],
            )


def problems_of(history: History, marks: Counter[str], told: Told) -> list[str]:
    """Return every contradiction, in words; none is what a test wants."""
    return [
        *_whole_trail(history),
        *(text for call in history.calls for text in _call(call, history, marks)),
        *_unknown(history, marks),
        *_told(history, told),
    ]


def marks_in(args: Mapping[str, Any]) -> set[str]:
    """Return the marks that a call with these arguments writes."""
    return set(_MARK.findall(json.dumps(args)))


def _call(call: Call, history: History, marks: Counter[str]) -> Iterator[str]:
    name = f"call {call.id[:8]} ({call.tool}, {call.state})"
    approval = history.approvals.get(call.id)
    rows = history.audit.get(call.id, [])
    sent = [row for row in rows if row.kind == "call_sent"]
    for mark in marks_in(call.args):
        yield from (f"{name}: {mark} {text}" for text in _count(call, marks[mark], bool(sent)))
        if marks[mark] and approval is not None:
            yield from (f"{name}: {mark} {text}" for text in _approved(call, approval, rows))
    if approval is not None:
        for mark in marks_in(approval.args) - marks_in(call.args):
            if marks[mark]:
                yield f"{name}: {mark} ran as it was asked, and it was approved otherwise"
    yield from (f"{name}: {text}" for text in _steps(call, rows, history.kinds[call.id]))


def _count(call: Call, times: int, was_sent: bool) -> Iterator[str]:  # noqa: FBT001 - one of three facts
    if times > 1:
        yield f"ran twice ({times} times)"
    if times and (call.state in _NEVER_RAN or call.state in _NOT_SENT or not was_sent):
        yield "ran unapproved: it was never sent"
    if not times and call.state is CallState.FINISHED and call.exit_code == 0:
        yield "never ran, and is called finished"


def _approved(call: Call, approval: Approval, rows: list[AuditRow]) -> Iterator[str]:
    if approval.state != "approved":
        yield f"ran unapproved: its approval is {approval.state}"
    elif approval.approved_args != call.args:
        yield "ran otherwise than approved"
    elif "approval_decided" not in _before_sent(rows):
        yield "ran unapproved: the trail has no decision before it was sent"


def _before_sent(rows: list[AuditRow]) -> list[str]:
    return [row.kind for row in takewhile(lambda row: row.kind != "call_sent", rows)]


def _steps(call: Call, rows: list[AuditRow], kinds: Counter[str]) -> Iterator[str]:
    trail = Counter(row.kind for row in rows)
    if trail["call_sent"] > 1 or kinds["call_started"] > 1:
        yield "was sent twice"
    if call.state not in TERMINAL:
        return
    if trail["call_ended"] != 1:
        yield f"ended {trail['call_ended']} times in the trail"
    if kinds["call_finished"] + kinds["call_denied"] != 1:
        yield f"ended {kinds['call_finished'] + kinds['call_denied']} times among the events"
    if call.ended_at is None:
        yield "is over and has no end"


def _whole_trail(history: History) -> Iterator[str]:
    if history.broken_audit_row is not None:
        yield f"the audit trail is broken at row {history.broken_audit_row}"
    if (ids := history.event_ids) != list(
        range(ids[0] if ids else 0, (ids[0] if ids else 0) + len(ids))
    ):
        yield "the events have a gap"


def _unknown(history: History, marks: Counter[str]) -> Iterator[str]:
    known = {mark for call in history.calls for mark in marks_in(call.args)}
    asked = {mark for found in history.approvals.values() for mark in marks_in(found.args)}
    for mark in marks.keys() - known - asked:
        yield f"{mark} ran unapproved: no call has it"


def _told(history: History, told: Told) -> Iterator[str]:
    stored = {call.id: call for call in history.calls}
    for key, call_id in told.taken.items():
        found = stored.get(call_id)  # type: ignore[call-overload]
        if found is None:
            yield f"call {call_id[:8]} ({key}) was acknowledged and is forgotten"
    for call_id, state in told.decided.items():
        approval = history.approvals.get(call_id)
        if approval is None or approval.state != state:
            now = approval.state if approval else "forgotten"
            yield f"call {call_id[:8]} was acknowledged as {state} and is {now}"
