"""Sessions on a real engine: what mounts, names and processes do there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deepd.engine.docker import DockerEngine
from deepd.model.ids import SessionName
from deepd.store.store import Store
from tests.daemon.session_world import MAIN, Home, new_home, run
from tests.eventually import eventually
from tests.leftover import find_leftovers, remove_leftovers

pytestmark = pytest.mark.docker

IMAGE = "deepd-test/python:3.11"


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    async with new_home() as found:
        store = Store.open(found.folder / "state")
        instance = store.instance
        store.close()
        found.engine_of = DockerEngine
        yield found
        remove_leftovers(instance)


async def test_a_session_comes_up_is_adopted_idles_and_comes_back(home: Home) -> None:
    home.write(image=IMAGE)
    async with home.daemon() as daemon:
        live = await daemon.ready()
        assert await run(live, "id -u; pwd; echo kept > note") == "1000\n/workspace\n"
        assert daemon.sessions.view(MAIN).user == "1000:1000"
    async with home.daemon() as daemon:
        assert (await daemon.ready()).container == live.container
        home.write(image=IMAGE, text='idle_timeout = "1s"\n')
        daemon.profiles.reload()
        await eventually(lambda: not find_leftovers(daemon.store.instance), within=30)
        await eventually(lambda: daemon.state() == "stopped")
        assert await run(await daemon.ready(), "cat note") == "kept\n"


async def test_a_claimed_workspace_is_where_its_files_are_written(home: Home) -> None:
    home.write(image=IMAGE, text='warm = 1\nsessions = []\nsetup = ["echo set up > made"]\n')
    async with home.daemon() as daemon:
        await eventually(lambda: [warm.setup for warm in daemon.warm] == ["done"], within=30)
        (warm,) = find_leftovers(daemon.store.instance)
        daemon.sessions.open(MAIN)
        live = await daemon.ready()
        assert live.container == warm
        assert await run(live, "cat made; echo mine > mine") == "set up\n"
        assert (home.workspaces / "main/workspace/mine").read_text() == "mine\n"


async def test_killed_paused_and_removed_behind_our_back(home: Home) -> None:
    from tests.images import engine_api

    home.write(image=IMAGE)
    async with home.daemon() as daemon:
        first = (await daemon.ready()).container
        engine_api().kill(first)
        await eventually(lambda: daemon.gone == [(MAIN, first, "exited with 137")], within=20)
        second = (await daemon.ready()).container
        engine_api().pause(second)
        await eventually(lambda: daemon.facts("sandbox_resumed"), within=20)
        assert (await daemon.ready()).container == second
        engine_api().remove_container(second, force=True)
        await eventually(lambda: len(daemon.gone) == 2, within=20)
        third = (await daemon.ready()).container
        assert third not in {first, second}


async def test_many_sessions_come_up_and_all_go(home: Home) -> None:
    home.write(image=IMAGE, text='sessions = ["a", "b", "c", "d"]\n')
    async with home.daemon() as daemon:
        for name in "abcd":
            await daemon.ready(SessionName(name), within=60)
    await home.end()
    assert find_leftovers(daemon.store.instance) == []
