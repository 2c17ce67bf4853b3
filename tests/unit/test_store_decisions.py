"""However decisions, cancellations and moves race, a call has one history and runs at most once."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from deepd.model.approval import Approval, Approved, Decision, Denied
from deepd.model.call import NEXT, TERMINAL, Call, CallState
from deepd.model.ids import CallId
from deepd.store.store import Store
from tests.unit.store_rows import make_approval, make_call

STATES = sorted(CallState)


class Decisions(RuleBasedStateMachine):
    """Many hands at the same rows, each with what it saw some time ago."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store.open(Path(self.folder.name))
        self.shown: dict[CallId, Approval] = {}
        self.history: dict[CallId, list[CallState]] = {}
        self.decided: dict[CallId, tuple[str, str]] = {}
        self.sent: dict[CallId, int] = {}

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(target=calls)
    def hold(self) -> CallId:
        call = make_call(CallState.HELD)
        self.shown[call.id] = make_approval(call.id)
        with self.store.write(durable=True):
            self.store.insert_call(call)
            self.store.insert_approval(self.shown[call.id])
        self.history[call.id] = [CallState.HELD]
        return call.id

    @rule(
        call_id=calls, who=st.sampled_from("ab"), decision=st.sampled_from([Approved(), Denied()])
    )
    def decide(self, call_id: CallId, who: str, decision: Decision) -> None:
        args = {"command": "true"}
        if self.store.decide(self.shown[call_id], decision, by=who, at=1.0, args=args):
            assert call_id not in self.decided
            self.decided[call_id] = (who, decision.kind)
            self.note(call_id, CallState(decision.kind))

    @rule(call_id=calls)
    def expire(self, call_id: CallId) -> None:
        if self.store.end_approval(self.shown[call_id], "expired", by="time", at=2.0, reason=""):
            assert call_id not in self.decided
            self.decided[call_id] = ("time", "expired")
            self.note(call_id, CallState.EXPIRED)

    @rule(call_id=calls, from_=st.sampled_from(STATES), to=st.sampled_from(STATES))
    def move(self, call_id: CallId, from_: CallState, to: CallState) -> None:
        # A held call is left by decisions only, and held again only with a new approval.
        if to not in NEXT.get(from_, ()) or CallState.HELD in (from_, to):
            return
        ended = {"ended_at": 3.0} if to in TERMINAL else {}
        if self.store.move(call_id, from_, to, **ended):
            assert self.history[call_id][-1] is from_
            self.note(call_id, to)
            self.sent[call_id] = self.sent.get(call_id, 0) + (to is CallState.SENT)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = Store.open(Path(self.folder.name))

    def note(self, call_id: CallId, state: CallState) -> None:
        self.history[call_id].append(state)

    def stored(self, call_id: CallId) -> Call:
        call = self.store.call(call_id)
        assert call is not None
        return call

    @invariant()
    def the_store_is_where_the_winners_left_it(self) -> None:
        for call_id, history in self.history.items():
            assert self.stored(call_id).state is history[-1]
            approval = self.store.approval(call_id)
            assert approval is not None
            who, kind = self.decided.get(call_id, ("", "pending"))
            assert (approval.decided_by, approval.state) == (who, kind)

    @invariant()
    def nothing_is_sent_twice_or_without_an_approval(self) -> None:
        for call_id, count in self.sent.items():
            assert count <= 1
            assert not count or self.decided[call_id][1] == "approved"


TestDecisions = Decisions.TestCase
TestDecisions.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
