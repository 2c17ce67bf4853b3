"""Held calls: what was approved runs exactly once, exactly as shown, and nothing else runs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deepd.daemon.calls import Submit
from deepd.errors import (
    AlreadyDecidedError,
    ArgumentsError,
    BadRequestError,
    ConflictError,
    DeniedError,
    FingerprintError,
    ForbiddenError,
    NotFoundError,
)
from deepd.model.approval import Approval, Approved, Denied
from deepd.model.call import Call, CallState
from deepd.model.caller import Caller
from deepd.model.event import Event
from deepd.model.ids import ProfileName
from deepd.model.profile import Approvals, Limits, Profile, Rule, ToolPolicy
from deepd.policy.decide import decide
from tests.daemon.call_world import AGENT, HUMAN, MAIN, Body, World, asking, daemons
from tests.eventually import eventually

REMOVES_NOTHING = (
    ToolPolicy("execute", "ask", (Rule("deny", match="rm *", reason="nothing is removed"),)),
)
PROFILE = Profile(ProfileName("p"), Path("p.toml"), interrupt_on=REMOVES_NOTHING)
HAS_RULES = decide(PROFILE, "execute", {"command": "rm x"}).answer == "deny"
COUNT = "echo ran >> ran"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    policy = asking("execute", "write_file", deny=("read_file",))
    async with daemons(tmp_path, interrupt_on=policy) as worlds:
        yield await worlds.start()


async def hold(world: World, command: str = COUNT, **args: Any) -> tuple[Call, Approval]:
    call = await world.submit(command=command, **args)
    assert call.state is CallState.HELD
    return call, world.approvals.get(call.id)


def approve(world: World, approval: Approval, args: dict[str, Any] | None = None) -> Approval:
    return world.approvals.decide(approval.id, approval.fingerprint, Approved(args), HUMAN)


async def test_an_approved_call_runs_once_and_says_who_approved_it(world: World) -> None:
    call, approval = await hold(world)
    assert world.sessions.counts == {"running": 0, "held": 1}
    decided = approve(world, approval)
    assert (decided.state, decided.decided_by) == ("approved", "uid 1000 (alice)")
    assert (await world.end(call)).state is CallState.FINISHED
    assert world.machine.lines("ran") == ["ran"]
    assert world.sessions.counts == {"running": 0, "held": 0}


async def test_a_denied_call_never_runs_and_its_caller_is_told_why(world: World) -> None:
    call, approval = await hold(world)
    world.approvals.decide(call.id, approval.fingerprint, Denied("not on a Friday"), HUMAN)
    ended = await world.end(call)
    assert (ended.state, ended.reason) == (CallState.DENIED, "not on a Friday")
    assert world.machine.process is None


async def test_the_policy_denies_without_asking(world: World) -> None:
    call = await world.submit("read_file", path="a")
    assert call.state is CallState.DENIED
    assert call.rule != ""
    assert world.approvals.list() == []


async def test_the_second_decision_is_refused_and_told_of_the_first(world: World) -> None:
    call, approval = await hold(world)
    approve(world, approval)
    with pytest.raises(AlreadyDecidedError, match=r"approved by uid 1000 \(alice\)"):
        world.approvals.decide(call.id, approval.fingerprint, Denied(), HUMAN)
    assert (await world.end(call)).state is CallState.FINISHED


async def test_an_agent_cannot_decide(world: World) -> None:
    call, approval = await hold(world)
    with pytest.raises(ForbiddenError):
        world.approvals.decide(call.id, approval.fingerprint, Approved(), AGENT)
    assert world.calls.get(call.id).state is CallState.HELD


@pytest.mark.parametrize("fingerprint", [None, "0" * 64, ""])
async def test_an_approval_must_name_what_was_shown(world: World, fingerprint: str | None) -> None:
    call, _ = await hold(world)
    with pytest.raises(FingerprintError):
        world.approvals.decide(call.id, fingerprint, Approved(), HUMAN)
    assert world.calls.get(call.id).state is CallState.HELD


async def test_a_denial_needs_no_fingerprint(world: World) -> None:
    call, _ = await hold(world)
    assert world.approvals.decide(call.id, None, Denied(), HUMAN).state == "denied"


async def test_edited_arguments_are_what_runs(world: World) -> None:
    call, approval = await hold(world)
    approve(world, approval, {"command": "echo edited >> ran"})
    ended = await world.end(call)
    assert ended.args == {"command": "echo edited >> ran"}
    assert world.machine.lines("ran") == ["edited"]


@pytest.mark.parametrize("args", [{"comand": "ls"}, {"command": ""}, {"command": 3}, {}])
async def test_edited_arguments_that_do_not_fit_leave_the_call_held(
    world: World, args: dict[str, Any]
) -> None:
    call, approval = await hold(world)
    with pytest.raises(ArgumentsError):
        approve(world, approval, args)
    assert world.approvals.get(call.id).state == "pending"
    assert world.calls.get(call.id).state is CallState.HELD


async def test_what_the_policy_denies_cannot_be_approved(world: World) -> None:
    call, approval = await hold(world)
    world.set_profile(interrupt_on=asking(deny=("execute",)))
    with pytest.raises(AlreadyDecidedError, match="denied by the policy"):
        approve(world, approval)
    assert (await world.end(call)).state is CallState.DENIED


@pytest.mark.skipif(not HAS_RULES, reason="the policy has no rules over arguments yet")
async def test_arguments_are_not_edited_into_what_the_policy_denies(world: World) -> None:
    world.set_profile(interrupt_on=REMOVES_NOTHING)
    call, approval = await hold(world)
    with pytest.raises(DeniedError, match="nothing is removed"):
        approve(world, approval, {"command": "rm -rf /"})
    assert world.approvals.get(call.id).state == "pending"


CHANGES: dict[str, dict[str, Any]] = {
    "image": {"image": "other"},
    "user": {"user": "root"},
    "env": {"env": (("A", "1"),)},
    "secrets": {"secrets": ("TOKEN",)},
    "work_dir": {"work_dir": "/elsewhere"},
    "limits": {"limits": Limits(timeout=10.0)},
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_decision_on_what_the_profile_changed_since_is_refused(
    world: World, change: str
) -> None:
    call, shown = await hold(world)
    world.set_profile(**CHANGES[change])
    with pytest.raises(FingerprintError):
        approve(world, shown)
    again = world.approvals.get(call.id)
    assert (again.state, again.deadline) == ("pending", shown.deadline)
    assert again.fingerprint != shown.fingerprint
    assert world.machine.lines("ran") == []


async def test_a_change_that_nobody_rechecked_yet_is_noticed_by_the_decision(world: World) -> None:
    call, shown = await hold(world)
    world.sessions.profile = world.profile_with(user="root")
    with pytest.raises(FingerprintError):
        approve(world, shown)
    assert world.approvals.get(call.id).context["user"] == "root"


FIELDS: dict[str, dict[str, Any]] = {
    "command": {"command": "true "},
    "env": {"command": "true", "env": {"A": "1"}},
    "cwd": {"command": "true", "cwd": "/"},
    "timeout": {"command": "true", "timeout": 7},
    "stdin": {"command": "true", "stdin": "x"},
    "pty": {"command": "true", "pty": {}},
}


@pytest.mark.parametrize("field", FIELDS)
async def test_every_argument_is_part_of_the_fingerprint(world: World, field: str) -> None:
    _, plain = await hold(world, "true")
    _, other = await hold(world, **FIELDS[field])
    assert plain.fingerprint != other.fingerprint
    _, same = await hold(world, "true")
    assert plain.fingerprint == same.fingerprint


async def test_a_reload_may_deny_what_is_held_and_never_lets_it_run(world: World) -> None:
    call, _ = await hold(world)
    world.set_profile(interrupt_on=())
    assert world.calls.get(call.id).state is CallState.HELD
    world.set_profile(interrupt_on=asking(deny=("execute",)))
    assert (await world.end(call)).state is CallState.DENIED
    assert world.machine.lines("ran") == []


async def test_a_reload_between_the_decision_and_the_start_asks_anew(world: World) -> None:
    call, approval = await hold(world)
    world.sessions.is_down = True
    approve(world, approval)
    assert world.calls.get(call.id).state is CallState.APPROVED
    world.set_profile(user="root")
    world.sessions.is_down = False
    await eventually(lambda: world.calls.get(call.id).state is CallState.HELD)
    assert world.machine.lines("ran") == []
    approve(world, world.approvals.get(call.id))
    assert (await world.end(call)).state is CallState.FINISHED
    assert world.machine.lines("ran") == ["ran"]


async def test_a_reload_that_denies_an_approved_call_before_its_start_wins(world: World) -> None:
    call, approval = await hold(world)
    world.sessions.is_down = True
    approve(world, approval)
    world.set_profile(interrupt_on=asking(deny=("execute",)))
    world.sessions.is_down = False
    assert (await world.end(call)).state is CallState.DENIED
    assert world.machine.lines("ran") == []


async def test_an_allowed_call_that_waits_is_held_when_a_reload_asks(world: World) -> None:
    world.set_profile(interrupt_on=())
    world.sessions.is_down = True
    submit = Submit(MAIN, "execute", {"command": COUNT}, background=True)
    call = await world.calls.submit(submit, AGENT)
    world.set_profile(interrupt_on=asking("execute"))
    world.sessions.is_down = False
    await eventually(lambda: world.calls.get(call.id).state is CallState.HELD)
    approve(world, world.approvals.get(call.id))
    assert (await world.end(call)).exit_code == 0
    assert world.machine.lines("ran") == ["ran"]


async def test_another_image_than_the_one_shown_is_shown_anew(world: World) -> None:
    await world.sessions.ready(MAIN, within=5)
    call, approval = await hold(world)
    assert approval.context["image_digest"] == "sha256:1"
    await world.sessions.detach()
    world.sessions.image = "sha256:2"
    approve(world, approval)
    await eventually(lambda: world.calls.get(call.id).state is CallState.HELD)
    assert world.approvals.get(call.id).context["image_digest"] == "sha256:2"
    assert world.machine.lines("ran") == []


async def test_nobody_decides_in_time(world: World) -> None:
    call, approval = await hold(world)
    world.now += 899
    await asyncio.sleep(0)
    assert world.calls.get(call.id).state is CallState.HELD
    world.now += 2
    with pytest.raises(AlreadyDecidedError, match="expired"):
        approve(world, approval)
    ended = await world.end(call)
    assert (ended.state, ended.reason) == (CallState.EXPIRED, "nobody decided within 15m")


async def test_the_deadline_comes_by_itself(world: World) -> None:
    policy = (ToolPolicy("execute", "ask", timeout=0.2),)
    world.set_profile(interrupt_on=policy)
    call, _ = await hold(world)
    world.now += 0.5
    assert (await world.end(call)).state is CallState.EXPIRED
    assert world.approvals.list() == []


async def test_an_approval_that_is_kept_has_no_deadline(world: World) -> None:
    world.set_profile(approvals=Approvals(on_timeout="keep"))
    _, approval = await hold(world)
    assert approval.deadline is None


async def test_a_caller_takes_a_held_call_back(world: World) -> None:
    call, approval = await hold(world)
    cancelled = await world.calls.cancel(call.id, AGENT, "changed my mind")
    assert (cancelled.state, cancelled.reason) == (CallState.CANCELLED, "changed my mind")
    assert (await world.end(call)).state is CallState.CANCELLED
    with pytest.raises(AlreadyDecidedError, match="cancelled"):
        approve(world, approval)
    assert world.sessions.counts["held"] == 0


async def test_deny_and_stop_ends_the_callers_other_calls_and_nobody_elses(world: World) -> None:
    other = Caller(uid=1000, pid=9, role="agent", client="reviewer")
    world.set_profile(interrupt_on=())
    running = await world.submit(command="sleep 60")
    world.set_profile(interrupt_on=asking("execute"))
    held, approval = await hold(world)
    also = await world.submit(command="true")
    submit = Submit(MAIN, "execute", {"command": "true"})
    someone = await world.calls.submit(submit, other)
    world.approvals.decide(held.id, approval.fingerprint, Denied("no", stop=True), HUMAN)
    assert (await world.end(running)).state is CallState.CANCELLED
    assert (await world.end(also)).state is CallState.CANCELLED
    assert world.calls.get(someone.id).state is CallState.HELD


async def test_a_held_body_is_written_as_shown(world: World) -> None:
    data = b"x" * 500_000
    body = Body(len(data), hashlib.sha256(data).hexdigest(), data)
    submit = Submit(MAIN, "write_file", {"path": "body"}, body=body)
    call = await world.calls.submit(submit, AGENT)
    approval = world.approvals.get(call.id)
    assert approval.context["body"] == {"size": len(data), "sha256": body.sha256}
    approve(world, approval)
    assert (await world.end(call)).state is CallState.FINISHED
    assert (world.machine.work_dir / "body").read_bytes() == data


async def test_a_held_body_that_was_swapped_on_disk_is_not_written(world: World) -> None:
    data = b"x" * 500_000
    body = Body(len(data), hashlib.sha256(data).hexdigest(), data)
    submit = Submit(MAIN, "write_file", {"path": "body"}, body=body)
    call = await world.calls.submit(submit, AGENT)
    world.store.spool.body_path(call.id).write_bytes(b"y" * 500_000)
    approve(world, world.approvals.get(call.id))
    assert (await world.end(call)).state is CallState.FAILED
    assert not (world.machine.work_dir / "body").exists()


async def test_the_body_of_a_denied_call_is_forgotten(world: World) -> None:
    data = b"x" * 500_000
    body = Body(len(data), hashlib.sha256(data).hexdigest(), data)
    submit = Submit(MAIN, "write_file", {"path": "body"}, body=body)
    call = await world.calls.submit(submit, AGENT)
    world.approvals.decide(call.id, None, Denied(), HUMAN)
    assert world.store.body(call.id) is None


async def test_an_agents_own_tool_is_only_asked_about(world: World) -> None:
    call = await world.submit("mcp_send_mail", to="bob")
    assert call.state is CallState.HELD
    approve(world, world.approvals.get(call.id), {"to": "carol"})
    ended = await world.end(call)
    assert (ended.state, ended.result) == (CallState.FINISHED, {"args": {"to": "carol"}})
    assert world.machine.process is None


async def test_an_agents_own_tool_that_is_allowed_is_over_at_once(world: World) -> None:
    world.set_profile(approvals=Approvals(default="allow"))
    call = await world.submit("mcp_send_mail", to="bob")
    assert (call.state, call.result) == (CallState.FINISHED, {"args": {"to": "bob"}})


async def test_input_for_a_held_call_is_refused(world: World) -> None:
    call, _ = await hold(world)
    with pytest.raises(ConflictError, match="held"):
        await world.calls.stdin(call.id, b"x")


async def test_an_id_that_is_none_or_unknown_is_refused(world: World) -> None:
    with pytest.raises(BadRequestError):
        world.approvals.get("../../etc")
    with pytest.raises(NotFoundError):
        world.approvals.get("abcdef")


async def test_events_and_the_audit_trail_tell_the_whole_story(world: World) -> None:
    call, approval = await hold(world)
    approve(world, approval, {"command": "true"})
    await world.end(call)
    events = [event for event in world.bus.since(0) if event.call == call.id]
    assert [event.kind for event in events] == [
        "call_received",
        "approval_asked",
        "approval_decided",
        "call_started",
        "call_finished",
    ]
    decided: Event = events[2]
    assert (decided.data["by"], decided.data["edited"]) == ("uid 1000 (alice)", True)
    rows = world.store.audit()
    assert [row.kind for row in rows] == [
        "approval_asked",
        "approval_decided",
        "call_sent",
        "call_ended",
    ]
    assert '"command":"true"' in rows[2].body
    assert world.store.broken_audit_row() is None


async def test_what_is_held_in_a_removed_session_does_not_run_in_the_next_of_its_name(
    world: World,
) -> None:
    call, approval = await hold(world)
    world.sessions.closed(MAIN)
    assert (await world.end(call)).state is CallState.CANCELLED
    with pytest.raises(AlreadyDecidedError):
        approve(world, approval)
