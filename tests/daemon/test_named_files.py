"""Files that a held call names: bound when shown, looked at again when it is admitted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deepd.daemon import named_files
from deepd.daemon.named_files import Files, files_of
from deepd.errors import FingerprintError
from deepd.model.approval import Approval, Approved
from deepd.model.call import Call, CallState
from tests.daemon.call_world import HUMAN, MAIN, World, asking, daemons
from tests.eventually import eventually

SCRIPT = "echo ran >> ran\n"
SHA256 = hashlib.sha256(SCRIPT.encode()).hexdigest()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    work_dir = str((tmp_path / "workspace").resolve())
    async with daemons(tmp_path, interrupt_on=asking("execute"), work_dir=work_dir) as worlds:
        (worlds.machine.work_dir / "x.sh").write_text(SCRIPT)
        world = await worlds.start()
        await world.sessions.ready(MAIN, within=5)
        yield world


async def hold(world: World, command: str, **args: Any) -> tuple[Call, Approval]:
    call = await world.submit(command=command, **args)
    assert call.state is CallState.HELD
    return call, world.approvals.get(call.id)


def approve(world: World, approval: Approval, args: dict[str, Any] | None = None) -> None:
    world.approvals.decide(approval.id, approval.fingerprint, Approved(args), HUMAN)


async def held_again(world: World, before: Approval) -> Approval:
    def again() -> bool:
        now = world.approvals.get(before.id)
        return now.state == "pending" and now.fingerprint != before.fingerprint

    await eventually(again)
    return world.approvals.get(before.id)


async def test_a_script_is_shown_with_its_hash_and_runs_unchanged(world: World) -> None:
    call, approval = await hold(world, "sh x.sh")
    assert approval.context["files"] == {"x.sh": SHA256}
    approve(world, approval)
    assert (await world.end(call)).exit_code == 0
    assert world.machine.lines("ran") == ["ran"]


async def test_a_script_that_is_swapped_while_the_call_is_held_puts_it_back(world: World) -> None:
    call, approval = await hold(world, "sh x.sh")
    (world.machine.work_dir / "x.sh").write_text("echo other >> ran\n")
    approve(world, approval)
    again = await held_again(world, approval)
    assert "x.sh changed since the call was shown" in again.rule
    assert world.calls.get(call.id).state is CallState.HELD
    assert world.machine.lines("ran") == []
    approve(world, again)
    assert (await world.end(call)).exit_code == 0
    assert world.machine.lines("ran") == ["other"]


@pytest.mark.parametrize("change", ["gone", "link", "new"])
async def test_any_change_of_what_is_named_puts_the_call_back(world: World, change: str) -> None:
    script = world.machine.work_dir / "x.sh"
    other = world.machine.work_dir / "other"
    if change == "new":
        script.rename(other)
    _, approval = await hold(world, "cat y; sh x.sh")
    match change:
        case "gone":
            script.unlink()
        case "link":
            other.write_text("echo linked >> ran")
            script.unlink()
            script.symlink_to("other")
        case _:
            other.rename(script)
    approve(world, approval)
    again = await held_again(world, approval)
    expected = {"gone": "is gone", "link": "changed", "new": "was not there"}[change]
    assert f"x.sh {expected}" in again.rule
    assert world.machine.lines("ran") == []


async def test_a_makefile_is_named_by_make(world: World) -> None:
    (world.machine.work_dir / "Makefile").write_text("all:\n\ttrue\n")
    _, approval = await hold(world, "make")
    assert list(approval.context["files"]) == ["Makefile"]


async def test_without_a_sandbox_the_files_are_shown_once_it_is_there(world: World) -> None:
    await world.sessions.detach()
    world.sessions.is_down = True
    _, approval = await hold(world, "sh x.sh")
    assert approval.context["files_unknown"] == "its sandbox does not run"
    world.sessions.is_down = False
    await world.sessions.ready(MAIN, within=5)
    again = await held_again(world, approval)
    assert again.context["files"] == {"x.sh": SHA256}
    with pytest.raises(FingerprintError):
        approve(world, approval)
    approve(world, again)
    await eventually(lambda: world.machine.lines("ran") == ["ran"])


async def test_a_held_call_wakes_its_sandbox_to_show_the_files(world: World) -> None:
    await world.sessions.detach()
    _, approval = await hold(world, "sh x.sh")
    again = await held_again(world, approval)
    assert again.context["files"] == {"x.sh": SHA256}


async def test_what_was_approved_unseen_is_shown_before_it_runs(world: World) -> None:
    await world.sessions.detach()
    world.sessions.is_down = True
    call, approval = await hold(world, "sh x.sh")
    approve(world, approval)
    world.sessions.is_down = False
    again = await held_again(world, approval)
    assert "x.sh was not seen when the call was shown" in again.rule
    assert world.machine.lines("ran") == []
    approve(world, again)
    assert (await world.end(call)).exit_code == 0


async def test_an_edit_that_names_another_script_shows_that_one_first(world: World) -> None:
    (world.machine.work_dir / "y.sh").write_text("echo other >> ran\n")
    _, approval = await hold(world, "sh x.sh")
    approve(world, approval, {"command": "sh y.sh"})
    again = await held_again(world, approval)
    assert list(again.context["files"]) == ["y.sh"]
    assert world.machine.lines("ran") == []


async def test_a_file_that_cannot_be_bound_is_shown_as_such(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_files, "MAX_BYTES", 4)
    os.mkfifo(world.machine.work_dir / "pipe")
    _, approval = await hold(world, "sh x.sh pipe folder $unknown")
    assert approval.context["files"] == {
        "x.sh": "not bound: it has more than 4B",
        "pipe": "not bound: it is no regular file",
    }
    _, approval = await hold(world, "sh $unknown")
    assert approval.context["files"] == {"?": "not bound: an expansion decides what `$unknown` is"}


async def test_a_sandbox_that_does_not_answer_leaves_the_files_unknown(world: World) -> None:
    live = world.sessions.live(MAIN)
    assert live is not None
    await live.guest.aclose()
    found = await files_of("execute", {"command": "sh x.sh"}, world.sessions.profile, live)
    assert found == Files(unknown="its sandbox does not run")
