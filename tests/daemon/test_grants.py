"""Grants: what is remembered lets exactly the call pass that was shown, and nothing else."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepd.daemon.calls import Submit
from deepd.daemon.named_files import Files
from deepd.daemon.policy import PolicyService
from deepd.errors import ArgumentsError, ConflictError, ForbiddenError, LimitError, NotFoundError
from deepd.model.approval import Approved, Denied
from deepd.model.call import Call, CallState
from deepd.model.grant import Grant, GrantScope, Remember
from deepd.model.ids import SessionName
from deepd.model.profile import Approvals, Rule, Security, ToolPolicy
from tests.daemon.call_world import AGENT, HUMAN, MAIN, Body, World, Worlds, asking, daemons
from tests.eventually import eventually

COUNT = "echo ran >> ran"
REMEMBER = Approvals(remember=("session", "profile"))


@pytest.fixture
async def worlds(tmp_path: Path) -> AsyncIterator[Worlds]:
    work_dir = str((tmp_path / "workspace").resolve())
    policy = asking("execute", "write_file", "deploy")
    async with daemons(
        tmp_path, interrupt_on=policy, approvals=REMEMBER, work_dir=work_dir
    ) as worlds:
        world = await worlds.start()
        await world.sessions.ready(MAIN, within=5)
        yield worlds


@pytest.fixture
def world(worlds: Worlds) -> World:
    assert worlds.world is not None
    return worlds.world


def remember(
    world: World, call: Call, scope: GrantScope = "session", args: Any = None, **limits: Any
) -> Grant:
    approval = world.approvals.get(call.id)
    decision = Approved(args, Remember(scope, **limits))
    world.approvals.decide(call.id, approval.fingerprint, decision, HUMAN)
    return world.approvals.grants.all()[0]


async def granted(world: World, command: str = COUNT, **limits: Any) -> Grant:
    call = await world.submit(command=command)
    assert call.state is CallState.HELD
    grant = remember(world, call, **limits)
    assert (await world.end(call)).exit_code == 0
    return grant


async def test_the_same_call_passes_and_shows_the_grant_as_its_rule(world: World) -> None:
    grant = await granted(world)
    ended = await world.run(COUNT)
    assert (ended.state, ended.grant) == (CallState.FINISHED, grant.id)
    assert ended.rule.startswith(f"grant {grant.id[:12]} by uid 1000 (alice): ")
    assert world.machine.lines("ran") == ["ran", "ran"]
    started = [event for event in world.bus.since(0) if event.call == ended.id]
    assert started[1].data["grant"] == grant.id
    sent = [row for row in world.store.audit() if row.kind == "call_sent"]
    assert grant.id in sent[-1].body
    assert world.approvals.grants.get(grant.id[:8]).used == 1
    assert world.store.broken_audit_row() is None


async def test_a_decision_that_does_not_ask_for_it_remembers_nothing(world: World) -> None:
    call = await world.submit(command=COUNT)
    approval = world.approvals.get(call.id)
    world.approvals.decide(call.id, approval.fingerprint, Approved(), HUMAN)
    assert world.approvals.grants.all() == []
    assert (await world.submit(command=COUNT)).state is CallState.HELD


OTHERS: list[dict[str, Any]] = [
    {"command": COUNT + " "},
    {"command": f"{COUNT}; id"},
    {"argv": ["sh", "-c", COUNT]},
    {"command": COUNT, "env": {"A": "1"}},
    {"command": COUNT, "cwd": "/"},
    {"command": COUNT, "stdin": "x"},
    {"command": COUNT, "timeout": 7.0},
    {"command": COUNT, "pty": {"rows": 24, "cols": 80}},
]


@pytest.mark.parametrize("args", OTHERS)
async def test_a_call_that_differs_in_anything_is_asked(world: World, args: dict[str, Any]) -> None:
    await granted(world)
    assert (await world.submit(**args)).state is CallState.HELD


async def test_another_tool_or_way_to_run_is_asked(world: World) -> None:
    await granted(world)
    other = await world.submit("deploy", command=COUNT)
    assert other.state is CallState.HELD
    submit = Submit(MAIN, "execute", {"command": COUNT}, background=True)
    assert (await world.calls.submit(submit, AGENT)).state is CallState.HELD


@pytest.mark.parametrize(
    "changed",
    [
        {"env": (("PATH", "/tmp"),)},
        {"user": "root"},
        {"image": "other"},
        {"secrets": ("TOKEN",)},
        {"security": Security(network="bridge")},
    ],
)
async def test_a_profile_that_runs_it_otherwise_asks_again(
    world: World, changed: dict[str, Any]
) -> None:
    await granted(world)
    world.set_profile(**changed)
    assert (await world.submit(command=COUNT)).state is CallState.HELD


async def test_an_edit_of_the_profile_that_changes_nothing_of_it_ends_no_grant(
    world: World,
) -> None:
    await granted(world)
    world.set_profile(idle_timeout=60.0, approvals=replace(REMEMBER, timeout=60.0))
    assert (await world.run(COUNT)).state is CallState.FINISHED


async def test_another_rule_than_the_one_that_held_it_asks_again(world: World) -> None:
    await granted(world)
    rule = Rule("ask", match="echo *", written="a new rule")
    world.set_profile(interrupt_on=(ToolPolicy("execute", "ask", (rule,)),))
    assert (await world.submit(command=COUNT)).state is CallState.HELD


async def test_a_grant_never_covers_what_a_rule_denies(world: World) -> None:
    await granted(world)
    world.set_profile(interrupt_on=asking(deny=("execute",)))
    assert (await world.submit(command=COUNT)).state is CallState.DENIED
    assert world.machine.lines("ran") == ["ran"]


async def test_another_image_is_asked(world: World) -> None:
    await granted(world)
    await world.sessions.detach()
    world.sessions.image = "sha256:2"
    await world.sessions.ready(MAIN, within=5)
    assert (await world.submit(command=COUNT)).state is CallState.HELD


async def test_a_script_that_changed_is_asked_and_shown(world: World) -> None:
    script = world.machine.work_dir / "x.sh"
    script.write_text("echo ran >> ran")
    await granted(world, "sh x.sh")
    assert (await world.run("sh x.sh")).grant != ""
    script.write_text("echo other >> ran")
    held = await world.submit(command="sh x.sh")
    assert held.state is CallState.HELD
    assert world.machine.lines("ran") == ["ran", "ran"]


async def test_a_script_that_changes_on_the_way_is_seen_at_admission(world: World) -> None:
    script = world.machine.work_dir / "x.sh"
    script.write_text("echo ran >> ran")
    await granted(world, "sh x.sh")
    await world.sessions.detach()
    call = await world.submit(command="sh x.sh")
    assert call.state is CallState.ADMITTED
    script.write_text("echo other >> ran")
    await eventually(lambda: world.calls.get(call.id).state is CallState.HELD)
    assert world.machine.lines("ran") == ["ran"]


async def test_the_last_use_still_counts_for_a_call_that_is_sent_again(world: World) -> None:
    grant = await granted(world, count=1)
    call = await world.run(COUNT)
    live, grants = world.sessions.live(MAIN), world.approvals.grants
    assert live is not None
    assert grants.still_covers(call, world.sessions.profile, live, Files())
    kept = await granted(world, "echo b")
    again = await world.run("echo b")
    grants.revoke(kept.id, HUMAN)
    assert not grants.still_covers(again, world.sessions.profile, live, Files())
    assert not grants.still_covers(
        replace(call, args={"command": "id"}), world.sessions.profile, live, Files()
    )
    assert grants.get(grant.id).ended_by == "its count"


async def test_a_body_counts_too(world: World) -> None:
    async def write(data: bytes) -> Call:
        body = Body(len(data), hashlib.sha256(data).hexdigest(), data)
        return await world.calls.submit(Submit(MAIN, "write_file", {"path": "a"}, body=body), AGENT)

    call = await write(b"one")
    remember(world, call)
    await world.end(call)
    assert (await world.end(await write(b"one"))).grant != ""
    assert (await write(b"two")).state is CallState.HELD


async def test_a_path_that_a_link_leads_elsewhere_is_asked(world: World) -> None:
    call = await world.submit("write_file", path="notes/a", content="x")
    remember(world, call)
    await world.end(call)
    folder = world.machine.work_dir
    assert (await world.end(await world.submit("write_file", path="notes/a", content="x"))).grant
    (folder / "notes").rename(folder / "other")
    (folder / "notes").symlink_to("other")
    held = await world.submit("write_file", path="notes/a", content="x")
    assert held.state is CallState.HELD
    files = world.approvals.get(held.id).context["files"]
    assert files == {"notes/a": f"leads to {folder.resolve()}/other/a"}


async def test_a_tool_of_the_agents_own_is_let_pass(world: World) -> None:
    call = await world.submit("deploy", to="staging")
    grant = remember(world, call, count=1)
    again = await world.submit("deploy", to="staging")
    assert (again.state, again.grant) == (CallState.FINISHED, grant.id)
    assert (await world.submit("deploy", to="staging")).state is CallState.HELD
    assert (await world.submit("deploy", to="production")).state is CallState.HELD


async def test_what_was_edited_is_what_is_remembered(world: World) -> None:
    call = await world.submit(command="echo asked")
    remember(world, call, args={"command": COUNT})
    await world.end(call)
    assert (await world.submit(command="echo asked")).state is CallState.HELD
    assert (await world.run(COUNT)).grant != ""


async def test_a_grant_ends_with_its_count(world: World) -> None:
    grant = await granted(world, count=2)
    for _ in range(2):
        assert (await world.run(COUNT)).grant == grant.id
    assert (await world.submit(command=COUNT)).state is CallState.HELD
    assert world.approvals.grants.all() == []
    (ended,) = world.approvals.grants.all(ended=True)
    assert (ended.used, ended.left, ended.ended_by) == (2, 0, "its count")


async def test_a_count_holds_for_calls_at_the_same_time(world: World) -> None:
    await granted(world, count=1)
    calls = [await world.submit(command=COUNT) for _ in range(5)]

    def settled() -> bool:
        states = [world.calls.get(call.id).state for call in calls]
        return sorted(states) == sorted([CallState.FINISHED, *[CallState.HELD] * 4])

    await eventually(settled)
    assert world.machine.lines("ran") == ["ran", "ran"]


async def test_a_grant_ends_with_its_time(world: World) -> None:
    await granted(world, until=world.now + 60)
    world.now += 61
    assert (await world.submit(command=COUNT)).state is CallState.HELD
    (ended,) = world.approvals.grants.all(ended=True)
    assert ended.state(world.now) == "over" or ended.ended_by == "its time"


async def test_a_grant_of_a_session_ends_with_it_and_that_of_a_profile_does_not(
    world: World,
) -> None:
    await granted(world)
    kept = await granted(world, "echo b", scope="profile")
    world.sessions.closed(MAIN)
    assert [grant.id for grant in world.approvals.grants.all()] == [kept.id]
    assert (await world.submit(command=COUNT)).state is CallState.HELD


async def test_a_scope_says_in_which_sessions_it_holds(world: World) -> None:
    await granted(world)
    await granted(world, "echo b", scope="profile")
    other = SessionName("other")

    async def elsewhere(command: str) -> Call:
        return await world.calls.submit(Submit(other, "execute", {"command": command}), AGENT)

    assert (await elsewhere(COUNT)).state is CallState.HELD
    assert (await world.end(await elsewhere("echo b"))).grant != ""


async def test_revoking_ends_it_at_once(world: World) -> None:
    grant = await granted(world)
    revoked = world.approvals.grants.revoke(grant.id[:6], HUMAN)
    assert revoked.ended_by == "uid 1000 (alice)"
    assert (await world.submit(command=COUNT)).state is CallState.HELD
    with pytest.raises(ConflictError, match="has ended"):
        world.approvals.grants.revoke(grant.id, HUMAN)
    with pytest.raises(NotFoundError):
        world.approvals.grants.revoke("0000", HUMAN)
    kinds = [event.kind for event in world.bus.since(0) if event.kind.startswith("grant")]
    assert kinds == ["grant_made", "grant_ended"]


async def test_all_of_a_session_are_revoked_together(world: World) -> None:
    await granted(world)
    await granted(world, "echo b")
    assert world.approvals.grants.revoke_all(SessionName("other"), HUMAN) == []
    assert len(world.approvals.grants.revoke_all(MAIN, HUMAN)) == 2


async def test_a_grant_survives_a_restart(worlds: Worlds) -> None:
    assert worlds.world is not None
    grant = await granted(worlds.world, count=2)
    await worlds.world.run(COUNT)
    world = await worlds.start()
    await world.sessions.ready(MAIN, within=5)
    assert world.approvals.grants.get(grant.id).left == 1
    assert (await world.run(COUNT)).grant == grant.id
    assert (await world.submit(command=COUNT)).state is CallState.HELD


async def test_without_a_sandbox_it_waits_for_one_and_is_looked_at_then(worlds: Worlds) -> None:
    assert worlds.world is not None
    grant = await granted(worlds.world, count=1)
    world = await worlds.start()
    ended = await world.run(COUNT)
    assert (ended.state, ended.grant) == (CallState.FINISHED, grant.id)


@pytest.mark.parametrize(
    ("allowed", "scope"), [((), "session"), (("session",), "profile"), (("profile",), "session")]
)
async def test_a_scope_that_the_profile_does_not_allow_is_refused(
    world: World, allowed: tuple[GrantScope, ...], scope: GrantScope
) -> None:
    world.set_profile(approvals=Approvals(remember=allowed))
    call = await world.submit(command=COUNT)
    with pytest.raises(ForbiddenError, match=f"remembered for the {scope}"):
        remember(world, call, scope)
    assert world.calls.get(call.id).state is CallState.HELD
    assert world.approvals.grants.all() == []


async def test_a_scope_that_is_not_allowed_any_more_covers_nothing(world: World) -> None:
    await granted(world)
    world.set_profile(approvals=Approvals(remember=()))
    assert (await world.submit(command=COUNT)).state is CallState.HELD


@pytest.mark.parametrize("limits", [{"count": 0}, {"until": 1.0}])
async def test_a_limit_that_makes_no_sense_is_refused(world: World, limits: dict[str, Any]) -> None:
    call = await world.submit(command=COUNT)
    with pytest.raises(ArgumentsError):
        remember(world, call, **limits)
    assert world.calls.get(call.id).state is CallState.HELD


async def test_files_that_nobody_has_seen_are_not_remembered(world: World) -> None:
    await world.sessions.detach()
    world.sessions.is_down = True
    call = await world.submit(command="sh x.sh")
    with pytest.raises(ConflictError, match="nobody has seen yet"):
        remember(world, call)


async def test_there_are_not_more_than_a_person_can_know(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepd.daemon.grants.MAX_GRANTS", 1)
    await granted(world)
    call = await world.submit(command="echo b")
    with pytest.raises(LimitError):
        remember(world, call)


async def test_a_person_can_read_them_in_a_file(world: World) -> None:
    command = "echo 'caf\u00e9 \u202e \x1b[2J \U0001f600'"
    await granted(world, command, count=3, until=world.now + 60)
    file = world.approvals.grants.file
    assert file.stat().st_mode & 0o077 == 0
    text = file.read_bytes().decode("ascii")
    assert text.startswith("# What deepd remembers")
    assert "\x1b" not in text
    (told,) = tomllib.loads(text)["grant"]
    assert (told["command"], told["count"]) == (command, 3)
    assert told["granted_by"] == "uid 1000 (alice)"
    world.approvals.grants.revoke_all(None, HUMAN)
    assert (
        "grant" not in tomllib.loads(file.read_text())
        or not tomllib.loads(file.read_text())["grant"]
    )


async def test_a_file_that_cannot_be_written_refuses_no_decision(world: World) -> None:
    world.approvals.grants.file = Path("/nowhere/grants.toml")
    await granted(world)
    assert (await world.run(COUNT)).grant != ""


async def test_a_proposal_shows_the_rule_and_what_else_it_would_have_let_pass(
    world: World,
) -> None:
    rules = (Rule("allow", match="ls *"),)
    world.set_profile(interrupt_on=(ToolPolicy("execute", "ask", rules),))
    for command in ("git status", "git status", "git status; ls", "git push", "ls"):
        call = await world.submit(command=command)
        if call.state is CallState.HELD:
            fingerprint = world.approvals.get(call.id).fingerprint
            world.approvals.decide(call.id, fingerprint, Denied(), HUMAN)
        await world.end(call)
    call = await world.submit(command="git status")
    policy = PolicyService(world.store, _no_profiles(), world.sessions)
    found = await policy.propose(world.approvals.get(call.id))
    assert (found.scopes, found.becomes, found.grant_count) == (REMEMBER.remember, "allow", 2)
    assert [str(edit) for edit in found.edits] == ['add "git status" to interrupt_on.execute.allow']
    commands = [told.args["command"] for told in found.rule_calls]
    assert commands == ["git status; ls", "git status", "git status"]


def _no_profiles() -> Any:
    return None
