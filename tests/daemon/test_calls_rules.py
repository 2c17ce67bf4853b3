"""Rules over commands and paths, as the daemon applies them to calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deepd.model.approval import Approved
from deepd.model.call import CallState
from deepd.model.profile import Rule, ToolPolicy
from tests.daemon.call_world import HUMAN, World, daemons

RULES = (
    ToolPolicy(
        "execute",
        "ask",
        (Rule("allow", match="echo *"), Rule("deny", match="rm *", reason="no removing")),
        written="interrupt_on.execute",
    ),
    ToolPolicy("write_file", "allow", (Rule("deny", path="secret/**", written="over secret"),)),
    ToolPolicy("read_file", "ask", (Rule("allow", path="open/**"),)),
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with daemons(tmp_path) as worlds:
        world = await worlds.start()
        await world.run("mkdir -p secret open; ln -s secret innocent; ln -s ../secret open/x")
        world.set_profile(interrupt_on=RULES, work_dir=str(world.machine.work_dir.resolve()))
        yield world


async def test_each_part_of_a_command_counts(world: World) -> None:
    assert (await world.run("echo a && echo b")).state is CallState.FINISHED
    held = await world.submit(command="echo a; ls")
    assert held.state is CallState.HELD
    assert "no rule allows `ls`" in held.rule
    denied = await world.submit(command="echo $(rm x)")
    assert (denied.state, denied.reason) == (CallState.DENIED, "no removing")


async def test_a_path_is_followed_in_the_sandbox_before_it_is_decided(world: World) -> None:
    plain = await world.submit("write_file", path="other/a", content="x")
    assert (await world.end(plain)).state is CallState.FINISHED
    for path in ("secret/a", "innocent/a", "./other/../innocent/b", "secret"):
        call = await world.submit("write_file", path=path, content="x")
        assert (call.state, path) == (CallState.DENIED, path)
    through = await world.submit("read_file", path="open/x/a")
    assert through.state is CallState.HELD


async def test_without_a_sandbox_what_a_path_rule_could_stop_is_held(tmp_path: Path) -> None:
    async with daemons(tmp_path) as worlds:
        world = await worlds.start()
        world.set_profile(interrupt_on=RULES)
        call = await world.submit("write_file", path="other/a", content="x")
        assert call.state is CallState.HELD
        assert "leads is not known" in call.rule


async def test_a_link_that_turns_up_before_a_held_call_runs_is_followed_too(world: World) -> None:
    both = replace(RULES[1], default="ask")
    world.set_profile(interrupt_on=(both,))
    held = await world.submit("write_file", path="later/a", content="x")
    assert held.state is CallState.HELD
    (world.machine.work_dir / "later").symlink_to("secret")
    approval = world.approvals.get(held.id)
    world.approvals.decide(held.id, approval.fingerprint, Approved(), HUMAN)
    ended = await world.end(held)
    assert ended.state is CallState.DENIED
    assert "over secret" in ended.rule
    assert not (world.machine.work_dir / "secret" / "a").exists()
