"""Calls that make, remove and move: to the policy a `write_file`, to the sandbox one operation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deepd.daemon.calls import Submit
from deepd.daemon.outcome import error_of
from deepd.errors import ArgumentsError, FileError
from deepd.model.approval import Approved
from deepd.model.call import Call, CallState
from tests.daemon.api import served
from tests.daemon.call_world import AGENT, HUMAN, MAIN, Body, World, asking, daemons


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with daemons(tmp_path) as worlds:
        yield await worlds.start()


async def change(world: World, operation: str, path: str, **args: Any) -> Call:
    return await world.end(await world.submit("write_file", op=operation, path=path, **args))


async def test_folders_are_made_moved_and_removed(world: World) -> None:
    root = world.sessions.machine.work_dir
    assert (await change(world, "mkdir", "a/b")).result == {"path": "a/b"}
    assert (await change(world, "mkdir", "a/b")).state is CallState.FINISHED
    (root / "a" / "b" / "f").write_text("kept")
    assert (await change(world, "rename", "a/b", to="c")).result == {"path": "a/b"}
    assert (root / "c" / "f").read_text() == "kept"
    kept = error_of(await change(world, "remove", "c"))
    assert isinstance(kept, FileError)
    assert kept.errno_name == "ENOTEMPTY"
    assert (await change(world, "remove", "c", recursive=True)).state is CallState.FINISHED
    assert [path.name for path in root.iterdir()] == ["a"]
    gone = error_of(await change(world, "remove", "c", recursive=True))
    assert isinstance(gone, FileError)
    assert gone.errno_name == "ENOENT"


async def test_removing_is_held_where_writing_is(world: World) -> None:
    path = world.sessions.machine.work_dir / "f"
    path.write_text("text")
    world.set_profile(interrupt_on=asking("write_file"))
    call = await world.submit("write_file", op="remove", path="f")
    assert call.state is CallState.HELD
    assert path.exists()
    shown = world.approvals.get(call.id)
    world.approvals.decide(call.id, shown.fingerprint, Approved(), HUMAN)
    assert (await world.end(call)).state is CallState.FINISHED
    assert not path.exists()


async def test_links_are_followed_where_asked_for_and_real_paths_are_found(world: World) -> None:
    root = world.sessions.machine.work_dir
    (root / "folder").mkdir()
    (root / "link").symlink_to("folder")
    (root / "broken").symlink_to("nowhere")

    async def kinds(**args: Any) -> dict[str, str]:
        call = await world.end(await world.submit("ls", path=".", **args))
        return {entry["path"].split("/")[-1]: entry["kind"] for entry in call.result["entries"]}

    assert await kinds() == {"folder": "dir", "link": "link", "broken": "link"}
    assert await kinds(follow=True) == {"folder": "dir", "link": "dir", "broken": "link"}
    call = await world.end(await world.submit("ls", path="link/new/newer", realpath=True))
    assert call.result == {"path": f"{root.resolve()}/folder/new/newer"}


@pytest.mark.parametrize(
    "args",
    [
        {"op": "mkfifo"},
        {"op": "mkdir", "content": "x"},
        {"op": "remove", "to": "x"},
        {"op": "rename"},
        {"op": "rename", "to": ""},
        {"op": True},
    ],
)
async def test_an_operation_that_makes_no_sense_is_refused(
    world: World, args: dict[str, Any]
) -> None:
    with pytest.raises(ArgumentsError):
        await world.submit("write_file", path="f", **args)


async def test_an_operation_takes_no_body(world: World) -> None:
    body = Body(size=1, sha256="0" * 64, data=b"x")
    submit = Submit(MAIN, "write_file", {"path": "f", "op": "remove"}, body=body)
    with pytest.raises(ArgumentsError, match="do not go together"):
        await world.calls.submit(submit, AGENT)


async def test_each_route_is_a_call_that_the_policy_sees(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        await api.agent.mkdir("main", "a/b")
        await api.agent.remove("main", "a")
        await api.agent.remove("main", "a", recursive=True)
        await api.agent.rename("main", "a", "b")
        await api.agent.ls("main", "a", follow=True)
        made = [(call.tool, call.args) for call in api.world.calls.calls.values()]
        assert made == [
            ("write_file", {"path": "a/b", "op": "mkdir"}),
            ("write_file", {"path": "a", "op": "remove"}),
            ("write_file", {"path": "a", "op": "remove", "recursive": True}),
            ("write_file", {"path": "a", "to": "b", "op": "rename"}),
            ("ls", {"path": "a", "follow": True}),
        ]
