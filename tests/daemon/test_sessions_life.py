"""Sessions live: idle, stop, pause, close, change with their profile, and end with the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from deepd.errors import ConflictError, NotFoundError, SandboxStopped
from deepd.model.ids import SessionName
from deepd.model.sandbox import SandboxState
from tests.daemon.session_world import MAIN, Home, new_home, run
from tests.eventually import eventually


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    async with new_home() as found:
        yield found


async def test_an_idle_session_stops_and_the_next_call_brings_it_back_with_its_files(
    home: Home,
) -> None:
    home.write(text='idle_timeout = "1s"\n')
    async with home.daemon() as daemon:
        live = await daemon.ready()
        with daemon.sessions.busy(MAIN, "running"):
            await run(live, "echo kept > note; sleep 1.5")
            assert daemon.state() == "busy"
        await eventually(lambda: not home.world.containers)
        await eventually(lambda: daemon.state() == "stopped")
        assert daemon.sessions.view(MAIN).cause == "idle for 1s"
        assert daemon.gone == [(MAIN, live.container, "idle for 1s")]
        assert await run(await daemon.ready(), "cat note") == "kept\n"


async def test_a_held_call_keeps_the_sandbox(home: Home) -> None:
    home.write(text='idle_timeout = "1s"\n')
    async with home.daemon() as daemon:
        live = await daemon.ready()
        with daemon.sessions.busy(MAIN, "held"):
            await asyncio.sleep(1.5)
            assert daemon.state() == "held"
            assert daemon.running == [live.container]


async def test_a_stopped_session_stays_stopped_until_it_is_started(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        await daemon.ready()
        view = await daemon.sessions.stop(MAIN)
        assert view.state == "stopped"
        assert daemon.running == []
        with pytest.raises(SandboxStopped, match="stopped on purpose"):
            await daemon.ready()
        with pytest.raises(ConflictError, match="stopped, not paused"):
            await daemon.sessions.resume(MAIN)
        await daemon.sessions.start(MAIN)
        await daemon.ready()


async def test_a_session_that_was_stopped_stays_so_over_a_restart(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        await daemon.ready()
        await daemon.sessions.stop(MAIN)
    async with home.daemon() as daemon:
        await eventually(lambda: daemon.count("observe") > 2 and daemon.state() == "stopped")
        assert daemon.running == []


async def test_a_stop_does_not_wait_for_a_long_setup(home: Home) -> None:
    home.write(text='setup = ["sleep 60"]\n')
    async with home.daemon() as daemon:
        await eventually(lambda: daemon.state() == "setup")
        async with asyncio.timeout(30):
            assert (await daemon.sessions.stop(MAIN)).state == "stopped"


async def test_a_paused_session_is_frozen_and_goes_on_where_it_was(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        live = await daemon.ready()
        assert (await daemon.sessions.pause(MAIN)).state == "paused"
        assert home.world.containers[live.container].state is SandboxState.PAUSED
        with pytest.raises(SandboxStopped, match="is paused"):
            await daemon.ready()
        await daemon.sessions.resume(MAIN)
        again = await daemon.ready()
        assert again.container == live.container
        assert daemon.gone == []


async def test_a_closed_session_is_gone_with_its_container_and_its_workspace_stays(
    home: Home,
) -> None:
    home.write(text="sessions = []\n")
    async with home.daemon() as daemon:
        daemon.sessions.open(MAIN)
        await run(await daemon.ready(), "echo kept > note")
        await daemon.sessions.close(MAIN)
        assert daemon.sessions.list() == []
        assert not home.world.containers
        assert (home.workspaces / "main/workspace/note").exists()
        assert daemon.facts("session_closed")[0].data == {"purged": False}
        with pytest.raises(NotFoundError):
            await daemon.ready()


async def test_a_purged_session_takes_its_workspace_with_it(home: Home) -> None:
    home.write(text="sessions = []\n")
    async with home.daemon() as daemon:
        daemon.sessions.open(MAIN)
        await run(await daemon.ready(), "mkdir -p a/b; ln -s / a/link; echo x > a/b/c")
        await daemon.sessions.close(MAIN, purge=True)
        assert not (home.workspaces / "main").exists()


async def test_a_close_that_was_cut_off_is_finished_by_the_next_daemon(home: Home) -> None:
    home.write(text="sessions = []\n")
    async with home.daemon() as daemon:
        daemon.sessions.open(MAIN)
        await daemon.ready()
        home.world.delay["remove"] = 30.0
        closing = asyncio.create_task(daemon.sessions.close(MAIN))
        await eventually(lambda: daemon.state() == "closing")
        with pytest.raises(ConflictError, match="being removed"):
            daemon.sessions.open(MAIN)
        closing.cancel()
    home.world.delay.clear()
    async with home.daemon() as daemon:
        await eventually(lambda: not home.world.containers and not daemon.sessions.list())


async def test_a_container_of_ours_that_no_session_wants_is_removed(home: Home) -> None:
    home.write(text="sessions = []\n")
    async with home.daemon() as daemon:
        daemon.sessions.open(MAIN)
        await daemon.ready()
    (home.folder / "state" / "deepd.db").rename(home.folder / "lost.db")
    # Another state has another instance: what it does not own it neither sees nor touches.
    async with home.daemon() as daemon:
        await eventually(lambda: daemon.count("observe") > 1)
        assert len(home.world.containers) == 1
        assert daemon.sessions.list() == []


async def test_a_killed_sandbox_is_told_with_its_cause_and_made_anew(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        live = await daemon.ready()
        home.world.kill(live.container)
        await eventually(lambda: daemon.gone == [(MAIN, live.container, "exited with 137")])
        again = await daemon.ready()
        assert again.container != live.container
        assert daemon.facts("sandbox_stopped")[0].data["cause"] == "exited with 137"


async def test_an_edited_idle_timeout_takes_effect_without_touching_the_container(
    home: Home,
) -> None:
    home.write()
    async with home.daemon() as daemon:
        live = await daemon.ready()
        before = daemon.sessions.view(MAIN).idle_at
        home.write(text='idle_timeout = "2h"\n')
        daemon.profiles.reload()
        assert (daemon.sessions.view(MAIN).idle_at or 0) - (before or 0) == 3600
        assert daemon.sessions.live(MAIN) is live
        assert daemon.count("create") == 1


async def test_edited_limits_are_given_to_the_running_container(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        live = await daemon.ready()
        home.write(text='[limits]\nmemory = "2g"\n')
        daemon.profiles.reload()
        box = home.world.containers[live.container]
        await eventually(lambda: box.limits.memory == 2 << 30)
        assert daemon.sessions.live(MAIN) is live
        assert daemon.count("update") == 1


async def test_a_changed_image_recreates_but_never_under_a_running_call(home: Home) -> None:
    home.world.images["python:3.13-slim"] = "sha256:13"
    home.write()
    async with home.daemon() as daemon:
        live = await daemon.ready()
        with daemon.sessions.busy(MAIN, "running"):
            home.write(image="python:3.13-slim", text='on_change = "now"\n')
            daemon.profiles.reload()
            await eventually(lambda: daemon.sessions.view(MAIN).stale)
            assert await run(live, "sleep 0.3; echo done") == "done\n"
            assert daemon.running == [live.container]
        await eventually(lambda: daemon.running not in ([], [live.container]))
        again = await daemon.ready()
        assert again.image == "sha256:13"
        assert not daemon.sessions.view(MAIN).stale
        assert daemon.gone == [(MAIN, live.container, "profile changed")]


async def test_a_session_that_is_declared_no_more_goes_when_nobody_uses_it(home: Home) -> None:
    home.write(text='sessions = ["main", "docs"]\n')
    async with home.daemon() as daemon:
        await daemon.ready(SessionName("docs"))
        with daemon.sessions.busy(SessionName("docs"), "held"):
            home.write()
            daemon.profiles.reload()
            assert len(daemon.sessions.list()) == 2
        await eventually(lambda: [view.name for view in daemon.sessions.list()] == ["main"])


async def test_a_typo_that_a_restart_finds_closes_no_session(home: Home) -> None:
    path = home.write()
    async with home.daemon() as daemon:
        before = (await daemon.ready()).container
    path.write_text("image = \n")
    async with home.daemon() as daemon:
        await eventually(lambda: daemon.attached)
        assert daemon.running == [before]
        home.write()
        daemon.profiles.reload()
        assert (await daemon.ready()).container == before


async def test_the_session_of_a_deleted_profile_is_shown_and_stops(home: Home) -> None:
    path = home.write(text="sessions = []\n")
    async with home.daemon() as daemon:
        daemon.sessions.open(MAIN)
        await daemon.ready()
        path.unlink()
        daemon.profiles.reload()
        await eventually(lambda: daemon.running == [])
        await eventually(lambda: daemon.state() == "no profile")
        with pytest.raises(NotFoundError, match="not loaded"):
            await daemon.ready()


async def test_the_end_of_the_daemon_removes_every_container(home: Home) -> None:
    home.write(text='warm = 1\nsessions = ["a", "b"]\n')
    async with home.daemon() as daemon:
        await eventually(lambda: len(daemon.running) == 3)
        await daemon.ready(SessionName("a"))
    await home.end()
    assert not home.world.containers
    assert not list(home.workspaces.glob(".warm-*"))
    assert (home.workspaces / "a/workspace").is_dir()


async def test_what_a_reload_would_do_is_told_before(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        await daemon.ready()
        await eventually(lambda: daemon.sessions.plan() == [])
        home.write(text='idle_timeout = "2h"\n', image="python:3.13-slim")
        told = [(item["text"], item["cause"]) for item in daemon.sessions.plan()]
        assert told == [
            (
                "main    image python:3.12-slim -> python:3.13-slim",
                "recreate when idle",
            ),
            ("main    idle_timeout 1h -> 2h", "live"),
        ]
        assert daemon.profiles.states()[0].state == "ready"
