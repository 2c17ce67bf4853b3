"""The machine's clock jumps: deadlines are times, and what is measured is not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deepd.model.approval import Approved
from deepd.model.call import CallState
from tests.daemon.call_world import HUMAN, World, Worlds, asking, daemons
from tests.eventually import eventually

DAY = 86_400.0


@pytest.fixture
async def worlds(tmp_path: Path) -> AsyncIterator[Worlds]:
    async with daemons(tmp_path) as worlds:
        yield worlds


async def hold(world: World) -> str:
    world.set_profile(interrupt_on=asking("execute"))
    return (await world.submit(command="echo ran >> ran")).id


async def test_a_clock_that_jumps_back_leaves_a_held_call_held_and_decidable(
    worlds: Worlds,
) -> None:
    world = await worlds.start()
    call = await hold(world)
    world.now -= 30 * DAY
    world = await worlds.start()
    world.now = 1_000_000.0 - 30 * DAY
    shown = world.approvals.get(call)
    assert shown.state == "pending"
    world.approvals.decide(call, shown.fingerprint, Approved(), HUMAN)
    assert (await world.end(shown.id)).state is CallState.FINISHED
    assert worlds.machine.lines("ran") == ["ran"]
    assert world.store.broken_audit_row() is None


async def test_a_clock_that_jumps_forward_expires_what_is_held_and_runs_nothing(
    worlds: Worlds,
) -> None:
    world = await worlds.start()
    call = await hold(world)
    shown = world.approvals.get(call)
    world.now += DAY
    with pytest.raises(Exception, match="was expired"):
        world.approvals.decide(call, shown.fingerprint, Approved(), HUMAN)
    assert (await world.end(shown.id)).state is CallState.EXPIRED
    assert worlds.machine.lines("ran") == []


@pytest.mark.parametrize("jump", [-DAY, DAY])
async def test_what_runs_is_neither_cut_short_nor_let_on_by_a_jump(
    worlds: Worlds, jump: float
) -> None:
    world = await worlds.start()
    began = time.monotonic()
    call = await world.submit(command="echo ran >> ran; sleep 60", timeout=0.6)
    await eventually(lambda: worlds.machine.lines("ran"))
    world.now += jump
    ended = await world.end(call)
    assert ended.state is CallState.TIMED_OUT
    assert 0.5 < time.monotonic() - began < 10
    assert (await world.run("true")).exit_code == 0


async def test_events_stay_in_order_whatever_the_clock_says(worlds: Worlds) -> None:
    world = await worlds.start()
    for jump in (0.0, -DAY, 2 * DAY, -DAY):
        world.now += jump
        await world.run("true")
    events = world.bus.since(0)
    assert [event.id for event in events] == list(range(1, len(events) + 1))
