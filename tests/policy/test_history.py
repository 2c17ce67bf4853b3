"""What a changed profile would have said to calls of the past, beside what became of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from deepd.daemon.backtest import Backtest, backtest
from deepd.daemon.history import history
from deepd.model.approval import Approval, Approved, Denied
from deepd.model.call import Call, CallState
from deepd.model.ids import ProfileName
from deepd.model.profile import Answer, Profile, Rule, ToolPolicy
from deepd.policy.history import Change, Past, replay
from deepd.store.store import Store
from tests.policy.texts import over_commands, profile_of
from tests.unit.store_rows import make_approval, make_call

PYTHON = ProfileName("python")

CHANGES: list[tuple[Past, Answer, Change, bool]] = [
    ("alone", "allow", "same", False),
    ("alone", "ask", "held", False),
    ("alone", "deny", "denied", False),
    ("approved", "allow", "passes", False),
    ("approved", "ask", "same", False),
    ("refused", "allow", "passes", True),
    ("refused", "ask", "same", False),
    ("refused", "deny", "denied", False),
    ("unanswered", "allow", "passes", False),
    ("unanswered", "ask", "same", False),
    ("denied", "allow", "passes", False),
    ("denied", "ask", "held", False),
    ("denied", "deny", "same", False),
]


@pytest.mark.parametrize(("past", "answer", "change", "is_reversed"), CHANGES)
def test_what_is_new_is_told_from_what_was(
    past: Past, answer: Answer, change: Change, *, is_reversed: bool
) -> None:
    profile = profile_of(ToolPolicy("execute", answer))
    found = replay(profile, "execute", {"command": "x"}, past)
    assert (found.change, found.is_reversed) == (change, is_reversed)


def test_a_path_is_taken_for_where_it_leads() -> None:
    entry = ToolPolicy("write_file", "ask", (Rule("allow", path="src/**"),))
    found = replay(profile_of(entry), "write_file", {"path": "src/../src/a"}, "approved")
    assert found.change == "passes"
    found = replay(profile_of(entry), "write_file", {"path": "src/../b"}, "approved")
    assert found.change == "same"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store.open(tmp_path / "state")
    yield store
    store.close()


def put(
    store: Store, command: str, state: CallState, by: str | None = None, at: float = 1000.0
) -> Call:
    """Store a call that ended; `by` decided about it, in whatever way."""
    first = CallState.HELD if by is not None else state
    call = make_call(first, args={"command": command}, created_at=at, ended_at=at)
    store.insert_call(call)
    if by is None:
        return call
    approval = make_approval(call.id, args={"command": command})
    with store.write(durable=True):
        store.insert_approval(approval)
        _decide(store, approval, state, by)
    return call


def _decide(store: Store, approval: Approval, state: CallState, by: str) -> None:
    if state is CallState.APPROVED:
        args = {"command": "edited"}
        store.decide(approval, Approved(args), by=by, at=1.0, args=args, fingerprint="f")
    elif state is CallState.DENIED:
        store.decide(approval, Denied(), by=by, at=1.0)
    else:
        store.end_approval(approval, "expired", by=by, at=1.0, reason="")


def texts(calls: Sequence[object]) -> list[str]:
    return [each.call.args["command"] for each in calls]  # type: ignore[attr-defined]


async def run(store: Store, profile: Profile, since: float = 0.0) -> Backtest:
    return await backtest(store, profile, PYTHON, since)


async def test_every_past_is_told_from_the_rows(store: Store) -> None:
    put(store, "alone", CallState.FINISHED)
    put(store, "denied", CallState.DENIED)
    put(store, "approved", CallState.APPROVED, "uid 1000 (alice)")
    put(store, "refused", CallState.DENIED, "uid 1000 (alice)")
    put(store, "denied later", CallState.DENIED, "the policy")
    put(store, "expired", CallState.EXPIRED, "the deadline")
    (page,) = history(store)
    assert [(told.args["command"], told.past) for told in page] == [
        ("expired", "unanswered"),
        ("denied later", "denied"),
        ("refused", "refused"),
        ("approved", "approved"),
        ("denied", "denied"),
        ("alone", "alone"),
    ]


async def test_all_calls_are_replayed_over_any_number_of_pages(store: Store) -> None:
    for number in range(450):
        put(store, f"ls {number}", CallState.FINISHED, at=float(number))
    put(store, "rm x", CallState.DENIED, "uid 1 (a)", at=500.0)
    put(store, "ls x", CallState.DENIED, "uid 1 (a)", at=501.0)
    found = await run(store, over_commands(allow=["ls *"]))
    assert (found.looked_at, found.same, found.passes) == (452, 451, 1)
    assert texts(found.reversed) == ["ls x"]
    found = await run(store, over_commands(deny=["ls *"]), since=440.0)
    assert (found.looked_at, found.denied, found.reversed_count) == (12, 11, 0)
    assert texts(found.differences)[0] == "ls x"


async def test_calls_of_other_profiles_are_left_out(store: Store) -> None:
    put(store, "ls", CallState.FINISHED)
    found = await backtest(store, over_commands(), ProfileName("other"), 0.0)
    assert found.looked_at == 0
