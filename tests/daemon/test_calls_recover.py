"""Daemons come and go over the same state and the same container: each call runs exactly once."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deepd.daemon import reattach
from deepd.daemon.calls import Submit
from deepd.daemon.collect import IN_MEMORY
from deepd.daemon.journal import Journal
from deepd.errors import LimitError
from deepd.guest.call import GuestCall
from deepd.model.approval import Approved
from deepd.model.call import Call, CallState
from deepd.model.ids import new_call_id
from deepd.model.profile import Limits
from tests.daemon.call_world import AGENT, HUMAN, MAIN, Body, World, Worlds, asking, daemons
from tests.eventually import eventually

WAIT = "until [ -e go ]; do sleep 0.01; done"


@pytest.fixture
async def worlds(tmp_path: Path) -> AsyncIterator[Worlds]:
    async with daemons(tmp_path, limits=Limits(output=8 << 20)) as worlds:
        yield worlds


def go(worlds: Worlds) -> None:
    (worlds.machine.work_dir / "go").touch()


async def start(world: World, command: str, state: CallState = CallState.RUNNING) -> Call:
    call = await world.submit(command=command)
    await eventually(lambda: world.calls.get(call.id).state is state)
    return call


async def test_a_held_call_is_still_held_and_then_runs_once(worlds: Worlds) -> None:
    world = await worlds.start()
    world.set_profile(interrupt_on=asking("execute"))
    call = await world.submit(command="echo ran >> ran")
    shown = world.approvals.get(call.id)
    world = await worlds.start()
    assert world.approvals.list() == [shown]
    assert world.sessions.counts["held"] == 1
    waiting = asyncio.create_task(world.end(call))
    world.approvals.decide(call.id, shown.fingerprint, Approved(), HUMAN)
    assert (await waiting).state is CallState.FINISHED
    world = await worlds.start()
    assert worlds.machine.lines("ran") == ["ran"]
    assert world.calls.get(call.id).state is CallState.FINISHED


async def test_a_deadline_that_passed_while_no_daemon_ran_still_counts(worlds: Worlds) -> None:
    world = await worlds.start()
    world.set_profile(interrupt_on=asking("execute"))
    call = await world.submit(command="echo ran >> ran")
    await worlds.stop()
    world = World(worlds._folder, worlds.machine, worlds.profile)
    worlds.world = world
    world.now += 10_000
    world.start()
    assert (await world.end(call)).state is CallState.EXPIRED


async def test_an_approved_call_whose_daemon_died_before_the_start_runs_once(
    worlds: Worlds,
) -> None:
    world = await worlds.start()
    world.set_profile(interrupt_on=asking("execute"))
    world.sessions.is_down = True
    call = await world.submit(command="echo ran >> ran")
    world.approvals.decide(call.id, world.approvals.get(call.id).fingerprint, Approved(), HUMAN)
    world = await worlds.start()
    assert (await world.end(call)).exit_code == 0
    assert worlds.machine.lines("ran") == ["ran"]


async def test_a_running_call_ends_with_its_real_exit_code_and_all_its_output(
    worlds: Worlds,
) -> None:
    world = await worlds.start()
    command = f"echo ran >> ran; seq 100000; {WAIT}; seq 100001 200000; exit 7"
    call = await start(world, command)
    for _ in range(3):
        world = await worlds.start()
    go(worlds)
    ended = await world.end(call)
    assert (ended.state, ended.exit_code) == (CallState.FINISHED, 7)
    expected = "".join(f"{n}\n" for n in range(1, 200_001))
    assert await world.text(ended) == expected
    assert (ended.output_size, ended.truncated) == (len(expected), False)
    assert worlds.machine.lines("ran") == ["ran"]


async def test_output_that_was_stored_and_not_acknowledged_does_not_keep_a_call_waiting(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await worlds.start()
    with monkeypatch.context() as dying:
        dying.setattr(GuestCall, "ack", lambda *_: None)
        call = await start(world, "seq 100000")
        stored = world.store.spool.output_path(call.id)
        await eventually(lambda: stored.exists() and stored.stat().st_size > IN_MEMORY)
        await worlds.stop()
    world = await worlds.start()
    ended = await world.end(call)
    assert ended.exit_code == 0
    assert await world.text(ended) == "".join(f"{n}\n" for n in range(1, 100_001))


async def test_a_call_that_ended_while_no_daemon_ran_is_taken_as_it_ended(worlds: Worlds) -> None:
    world = await worlds.start()
    call = await start(world, f"echo before; {WAIT}; echo after; echo ran >> ran; exit 5")
    await worlds.stop()
    go(worlds)
    await eventually(lambda: worlds.machine.lines("ran") == ["ran"])
    world = await worlds.start()
    ended = await world.end(call)
    assert ended.exit_code == 5
    assert await world.text(ended) == "before\nafter\n"


async def test_a_call_that_was_stored_and_never_sent_is_sent_once(worlds: Worlds) -> None:
    world = await worlds.start()
    await world.run("true")
    live = world.sessions.live(MAIN)
    assert live is not None
    call = Call(
        id=new_call_id(),
        session=MAIN,
        profile=worlds.profile.name,
        tool="execute",
        args={"command": "echo ran >> ran"},
        state=CallState.SENT,
        timeout=60.0,
        container=live.container,
        boot=live.guest.info.boot,
    )
    world.store.insert_call(call)
    world = await worlds.start()
    assert (await world.end(call)).exit_code == 0
    world = await worlds.start()
    assert worlds.machine.lines("ran") == ["ran"]


async def test_a_call_that_was_never_sent_is_not_sent_once_the_policy_denies_it(
    worlds: Worlds,
) -> None:
    world = await worlds.start()
    await world.run("true")
    done = world.calls.list()[0]
    call = replace(done, id=new_call_id(), state=CallState.SENT, ended_at=None)
    world.store.insert_call(call)
    world.set_profile(interrupt_on=asking(deny=("execute",)))
    world = await worlds.start()
    ended = await world.end(call)
    assert (ended.state, ended.result["error"]["code"]) == (CallState.FAILED, "denied")


async def test_a_stream_that_breaks_under_a_call_is_taken_up_again(worlds: Worlds) -> None:
    world = await worlds.start()
    call = await start(world, f"echo ran >> ran; seq 50000; {WAIT}; seq 50001 60000; exit 9")
    follow = world.calls.output(call.id, follow=True)
    seen = (await anext(follow)).data
    await world.sessions.detach()
    await eventually(lambda: world.sessions.live(MAIN) is not None)
    go(worlds)
    ended = await world.end(call)
    seen += b"".join([chunk.data async for chunk in follow])
    expected = "".join(f"{n}\n" for n in range(1, 60_001)).encode()
    assert ended.exit_code == 9
    assert seen == expected
    assert world.calls.body(call.id) == expected
    assert worlds.machine.lines("ran") == ["ran"]


async def test_a_guest_that_does_not_answer_once_is_waited_for(worlds: Worlds) -> None:
    world = await worlds.start()
    call = await start(world, f"{WAIT}; exit 9")
    world.sessions.deaf = 1
    await world.sessions.detach()
    await eventually(lambda: world.sessions.live(MAIN) is not None)
    go(worlds)
    assert (await world.end(call)).exit_code == 9


async def test_a_call_whose_guest_never_answers_again_is_lost(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reattach, "_WITHIN", 0.1)
    world = await worlds.start()
    call = await start(world, "sleep 60")
    world.sessions.deaf = 1000
    await world.sessions.detach()
    ended = await world.end(call)
    assert (ended.state, ended.reason) == (
        CallState.LOST,
        "its sandbox is gone: the sandbox's guest did not answer within 5 s",
    )


async def test_a_call_whose_container_went_away_is_lost_and_never_run_again(
    worlds: Worlds,
) -> None:
    world = await worlds.start()
    call = await start(world, "echo ran >> ran; sleep 60")
    await world.sessions.kill("out of memory")
    ended = await world.end(call)
    assert (ended.state, ended.reason) == (CallState.LOST, "its container is gone: out of memory")
    await world.run("true")
    assert worlds.machine.lines("ran") == ["ran"]


async def test_a_call_whose_container_was_replaced_while_no_daemon_ran_is_lost(
    worlds: Worlds,
) -> None:
    world = await worlds.start()
    call = await start(world, "echo ran >> ran; sleep 60")
    await worlds.stop()
    await worlds.machine.kill()
    world = await worlds.start()
    ended = await world.end(call)
    assert ended.state is CallState.LOST
    assert "replaced" in ended.reason
    assert worlds.machine.lines("ran") == ["ran"]


async def test_a_container_that_was_restarted_is_not_asked_to_run_it_again(
    worlds: Worlds,
) -> None:
    world = await worlds.start()
    call = await start(world, "echo ran >> ran; sleep 60")
    await worlds.stop()
    await worlds.machine.kill()
    worlds.machine.starts -= 1  # the same container, started again
    world = await worlds.start()
    ended = await world.end(call)
    assert (ended.state, ended.reason) == (
        CallState.LOST,
        "its container was restarted under it",
    )
    assert worlds.machine.lines("ran") == ["ran"]


async def test_cancelling_survives_a_restart(worlds: Worlds) -> None:
    world = await worlds.start()
    call = await start(world, "sleep 60")
    world.store.change_call(call.id, CallState.RUNNING, cancel_reason="asked before")
    world = await worlds.start()
    ended = await world.end(call)
    assert (ended.state, ended.reason) == (CallState.CANCELLED, "asked before")


async def test_a_call_of_a_stopped_session_is_waited_for(worlds: Worlds) -> None:
    world = await worlds.start()
    call = await start(world, f"{WAIT}; exit 4")
    world.sessions.is_stopped = True
    await world.sessions.detach()
    with pytest.raises(TimeoutError):
        await world.end(call, within=0.6)
    world.sessions.is_stopped = False
    go(worlds)
    assert (await world.end(call)).exit_code == 4


async def test_a_half_written_file_is_written_to_its_end(worlds: Worlds) -> None:
    world = await worlds.start()
    await world.run("true")
    live = world.sessions.live(MAIN)
    assert live is not None
    data = os.urandom(5_000_000)
    body = Body(len(data), hashlib.sha256(data).hexdigest(), data)
    submit = Submit(MAIN, "write_file", {"path": "large"}, body=body)
    call = await world.calls.submit(submit, AGENT)
    await asyncio.sleep(0)
    world = await worlds.start()
    ended = await world.end(call)
    assert ended.state is CallState.FINISHED
    assert (worlds.machine.work_dir / "large").read_bytes() == data


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_an_interrupted_append_happens_once(worlds: Worlds, steps: int) -> None:
    world = await worlds.start()
    await world.run("echo first > log")
    for number in range(2):
        call = await world.submit("write_file", path="log", content=f"{number}\n", append=True)
        for _ in range(steps):
            await asyncio.sleep(0)
        if number:
            world = await worlds.start()
        else:
            await world.sessions.detach()
        assert (await world.end(call)).state is CallState.FINISHED
    assert worlds.machine.lines("log") == ["first", "0", "1"]


@pytest.mark.parametrize("steps", range(0, 60, 5))
async def test_an_interrupted_edit_happens_once_or_says_that_it_did_not(
    worlds: Worlds, steps: int
) -> None:
    world = await worlds.start()
    await world.run("echo a > text")
    call = await world.submit("edit_file", path="text", old="a", new="aa")
    for _ in range(steps):
        await asyncio.sleep(0)
    world = await worlds.start()
    ended = await world.end(call)
    expected = {CallState.FINISHED: ["aa"], CallState.FAILED: ["a"]}
    assert worlds.machine.lines("text") == expected[ended.state]


async def test_many_interruptions_double_and_lose_nothing(worlds: Worlds) -> None:
    world = await worlds.start()
    calls: list[Call] = []
    for number in range(60):
        submit = Submit(
            MAIN,
            "execute",
            {"command": f"echo {number} >> ran; exit {number}"},
            background=True,
            idempotency_key=f"n{number}",
        )
        calls.append(await world.calls.submit(submit, AGENT))
        for _ in range(number % 11):
            await asyncio.sleep(0)
        if number % 10 == 9:
            world = await worlds.start()
        elif number % 4 == 3:
            await world.sessions.detach()
    ended = [await world.end(call) for call in calls]
    assert [call.exit_code for call in ended] == list(range(60))
    assert sorted(map(int, worlds.machine.lines("ran"))) == list(range(60))
    assert world.store.broken_audit_row() is None


async def test_a_call_is_the_same_by_its_key_after_a_restart(worlds: Worlds) -> None:
    world = await worlds.start()
    submit = Submit(MAIN, "execute", {"command": "echo ran >> ran"}, idempotency_key="k")
    call = await world.calls.submit(submit, AGENT)
    world = await worlds.start()
    again = await world.calls.submit(submit, AGENT)
    assert again.id == call.id
    assert (await world.end(call)).exit_code == 0
    assert worlds.machine.lines("ran") == ["ran"]


async def test_what_runs_is_heard_to_its_end_also_without_its_profile(worlds: Worlds) -> None:
    world = await worlds.start()
    call = await start(world, f"echo one; {WAIT}; echo two; exit 6")
    world.sessions.has_no_profile = True
    await world.sessions.detach()
    go(worlds)
    ended = await world.end(call)
    assert (ended.exit_code, await world.text(ended)) == (6, "one\ntwo\n")


async def test_what_runs_is_heard_to_its_end_also_when_its_time_is_not_given_any_more(
    worlds: Worlds,
) -> None:
    world = await worlds.start()
    world.set_profile(limits=Limits(max_timeout=600.0))
    call = await world.submit_for(500.0, f"echo ran >> ran; {WAIT}; echo two; exit 6")
    await eventually(lambda: worlds.machine.lines("ran"))
    world.set_profile(limits=Limits(timeout=10.0, max_timeout=20.0))
    await world.sessions.detach()
    go(worlds)
    ended = await world.end(call)
    assert (ended.state, ended.exit_code) == (CallState.FINISHED, 6)
    assert await world.text(ended) == "two\n"
    assert worlds.machine.lines("ran") == ["ran"]


async def test_what_was_answered_before_it_was_stored_is_what_a_next_daemon_stores(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await worlds.start()
    await world.run("true")  # so that the sandbox is there
    submit = Submit(MAIN, "execute", {"command": "echo ran | tee -a ran; exit 7"})
    with monkeypatch.context() as dying:
        dying.setattr(Journal, "end", _never)
        call = await world.calls.submit(submit, AGENT)
        answered = await world.calls.answer(call.id)
        assert (answered.state, answered.exit_code) == (CallState.FINISHED, 7)
        assert await world.text(answered) == "ran\n"
        assert world.calls.get(call.id).state in {CallState.SENT, CallState.RUNNING}
        await worlds.stop()
    world = await worlds.start()
    ended = await world.end(call)
    assert replace(ended, ended_at=None) == replace(answered, ended_at=None)
    assert await world.text(ended) == "ran\n"
    assert worlds.machine.lines("ran") == ["ran"]


async def test_on_a_full_disk_an_answer_does_not_wait_for_its_place_there(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await worlds.start()
    await world.run("true")
    with monkeypatch.context() as full:
        full.setattr(Journal, "end", _no_space)
        call = await world.calls.submit(Submit(MAIN, "execute", {"command": "exit 7"}), AGENT)
        assert (await world.calls.answer(call.id)).exit_code == 7
        assert world.calls.get(call.id).state in {CallState.SENT, CallState.RUNNING}
    assert (await world.end(call)).exit_code == 7


def _never(*_: object) -> None:
    raise asyncio.CancelledError


def _no_space(*_: object) -> None:
    raise LimitError("no space")
