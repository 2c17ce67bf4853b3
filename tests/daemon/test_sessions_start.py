"""Sessions come up: opened, declared, adopted, claimed, set up; or it is told why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from deepd.errors import (
    ArgumentsError,
    BadRequestError,
    ConflictError,
    EngineDownError,
    EngineRefusedError,
    EngineTimeoutError,
    ImageNotFoundError,
    NotFoundError,
    SandboxError,
)
from deepd.model.ids import ProfileName, SessionName
from deepd.reconcile.alarm import SOON
from deepd.reconcile.facts import SetupError
from tests.daemon.session_world import MAIN, Daemon, Home, new_home, run
from tests.eventually import eventually


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    async with new_home() as found:
        yield found


async def test_a_declared_session_comes_up_by_itself(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        live = await daemon.ready()
        assert await run(live, "echo hello; pwd") == f"hello\n{home.workspaces}/main/workspace\n"
        view = daemon.sessions.view(MAIN)
        assert (view.state, view.container, view.generation) == ("ready", live.container, 1)
        assert view.idle_at == view.last_active + 3600
        assert [event.session for event in daemon.facts("sandbox_ready")] == ["main"]


async def test_many_who_wait_at_once_get_one_sandbox(home: Home) -> None:
    home.write(text="sessions = []\n")
    async with home.daemon() as daemon:
        daemon.sessions.open(MAIN, ProfileName("p"))
        lives = await asyncio.gather(*(daemon.ready() for _ in range(16)))
        assert len({live.container for live in lives}) == 1
        assert daemon.count("create") == 1


async def test_a_name_that_is_no_name_is_refused(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        for name in ("../x", "/abs", "", ".warm-1", "A"):
            with pytest.raises(BadRequestError):
                daemon.sessions.open(SessionName(name))


async def test_a_session_exists_once_and_with_one_profile(home: Home) -> None:
    home.write("a", "sessions = []\n")
    home.write("b", "sessions = []\n")
    async with home.daemon() as daemon:
        with pytest.raises(ArgumentsError, match="needs a profile"):
            daemon.sessions.open(MAIN)
        with pytest.raises(NotFoundError, match="no profile 'c'"):
            daemon.sessions.open(MAIN, ProfileName("c"))
        assert daemon.sessions.open(MAIN, ProfileName("b")).profile == "b"
        assert daemon.sessions.open(MAIN).profile == "b"
        with pytest.raises(ConflictError, match="exists with profile b"):
            daemon.sessions.open(MAIN, ProfileName("a"))
        with pytest.raises(NotFoundError):
            daemon.sessions.view(SessionName("other"))


async def test_of_two_profiles_that_declare_a_session_the_first_has_it(home: Home) -> None:
    home.write("a")
    home.write("b")
    async with home.daemon() as daemon:
        assert [view.profile for view in daemon.sessions.list()] == ["a"]


async def test_a_restarted_daemon_adopts_what_runs_and_restarts_nothing(home: Home) -> None:
    home.write(text='setup = ["echo once >> setup.log"]\n')
    async with home.daemon() as daemon:
        before = (await daemon.ready()).container
    async with home.daemon() as daemon:
        live = await daemon.ready()
        assert live.container == before
        assert daemon.attached == [(MAIN, before)]
        assert daemon.gone == []
        assert await run(live, "cat setup.log") == "once\n"
        assert daemon.count("create") == 1
        assert daemon.count("start") == 1


async def test_what_ended_while_the_daemon_was_away_is_told(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        before = (await daemon.ready()).container
    home.world.kill(before)
    await eventually(lambda: home.world.containers[before].process is None)
    async with home.daemon() as daemon:
        after = (await daemon.ready()).container
        assert after != before
        assert daemon.gone == [(MAIN, before, "exited with 137")]


async def test_what_was_removed_while_the_daemon_was_away_is_told(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        before = (await daemon.ready()).container
    home.world.kill(before)
    await eventually(lambda: home.world.containers[before].process is None)
    del home.world.containers[before]
    async with home.daemon() as daemon:
        await daemon.ready()
        assert daemon.gone == [(MAIN, before, "it was removed by somebody else")]


async def test_a_stream_that_breaks_is_attached_again_and_the_container_stays(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        live = await daemon.ready()
        home.world.containers[live.container].detach()
        await eventually(lambda: live.guest.closed)
        again = await daemon.ready()
        assert again is not live
        assert again.container == live.container
        assert daemon.gone == []
        assert daemon.attached == [(MAIN, live.container)] * 2


async def test_setup_runs_before_the_first_call_and_its_failure_is_the_sessions_state(
    home: Home,
) -> None:
    home.write(text='setup = ["echo compiling; exit 3"]\n')
    async with home.daemon() as daemon:
        with pytest.raises(SetupError, match="exited with 3: compiling"):
            await daemon.ready()
        assert daemon.state() == "failed"
        assert "compiling" in daemon.facts("session_failed")[0].data["cause"]
        with pytest.raises(SandboxError):
            await daemon.ready(within=1.0)
        assert daemon.count("create") == 1
        home.write(text='setup = ["echo fine"]\n')
        daemon.profiles.reload()
        await daemon.ready()
        assert daemon.state() == "ready"


async def test_a_failed_setup_is_tried_again_in_a_new_container_when_asked_for(
    home: Home,
) -> None:
    home.write(text=f'setup = ["test -e {home.folder}/there"]\n')
    async with home.daemon() as daemon:
        with pytest.raises(SetupError):
            await daemon.ready()
        (home.folder / "there").touch()
        await daemon.sessions.start(MAIN)
        await daemon.ready()
        assert daemon.count("create") == 2


async def test_a_setup_that_was_interrupted_is_not_run_twice_in_one_container(home: Home) -> None:
    home.write(text='setup = ["echo x >> begun; sleep 30"]\n')
    async with home.daemon() as daemon:
        await eventually((home.workspaces / "main/workspace/begun").exists)
        assert daemon.state() == "setup"
        first = daemon.sessions.view(MAIN).container
    home.write(text='setup = ["echo x >> begun"]\n')
    async with home.daemon() as daemon:
        assert (await daemon.ready()).container != first
        assert daemon.running == [(await daemon.ready()).container]


async def test_secrets_reach_setup_and_are_masked_in_what_is_shown(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_TOKEN", "hunter22")
    home.write(text='secrets = ["PIP_TOKEN"]\nsetup = ["echo token=$PIP_TOKEN; exit 1"]\n')
    async with home.daemon() as daemon:
        with pytest.raises(SetupError) as caught:
            await daemon.ready()
        assert "token=********" in str(caught.value)
        assert all("hunter22" not in str(event.data) for event in daemon.events.since(0))


async def test_a_missing_image_is_told_at_once_and_mended_by_editing_the_file(home: Home) -> None:
    home.write(image="nowhere:1")
    async with home.daemon() as daemon:
        with pytest.raises(ImageNotFoundError, match="nowhere:1"):
            await daemon.ready()
        assert daemon.state() == "failed"
        assert "nowhere:1" in daemon.sessions.view(MAIN).cause
        home.write()
        daemon.profiles.reload()
        await daemon.ready()


async def test_an_image_that_came_later_is_found_when_the_session_is_started(home: Home) -> None:
    home.write(image="later:1")
    async with home.daemon() as daemon:
        with pytest.raises(EngineRefusedError):
            await daemon.ready()
        home.world.registry.add("later:1")
        await daemon.sessions.start(MAIN)
        await daemon.ready()


async def test_a_pull_is_shown(home: Home) -> None:
    home.write(image="big:1")
    home.world.registry.add("big:1")
    home.world.delay["pull"] = 0.5
    async with home.daemon() as daemon:
        await eventually(lambda: daemon.sessions.list() and daemon.state() == "pulling")
        await daemon.ready()
        assert daemon.facts("image_progress")[-1].data["text"] == "ready"


async def test_an_engine_that_is_down_is_told_and_waited_for(home: Home) -> None:
    home.write()
    home.world.go_down()
    async with home.daemon() as daemon:
        with pytest.raises(EngineDownError, match="fake://"):
            await daemon.ready(within=0.5)
        assert daemon.state() == "waiting"
        home.world.come_up()
        await daemon.ready()
        assert [event.kind for event in daemon.events.since(0) if "engine" in event.kind] == [
            "engine_down",
            "engine_up",
        ]


async def test_an_engine_that_comes_back_finds_its_sandboxes_untouched(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        before = (await daemon.ready()).container
        home.world.go_down()
        await eventually(lambda: daemon.state() == "waiting")
        home.world.come_up()
        assert (await daemon.ready()).container == before
        assert daemon.gone == []


async def test_who_has_no_time_is_told_what_it_waits_for(home: Home) -> None:
    home.write()
    home.world.delay["start"] = 5.0
    async with home.daemon() as daemon:
        with pytest.raises(EngineTimeoutError, match="it is starting"):
            await daemon.ready(within=0.5)


async def test_a_sandbox_that_dies_at_once_is_no_hot_loop(home: Home) -> None:
    home.write()
    async with home.daemon() as daemon:
        is_deadly = True
        daemon.sessions.on_attached(
            lambda _, live: home.world.kill(live.container) if is_deadly else None
        )
        await eventually(lambda: daemon.facts("session_failed"))
        assert 2 <= daemon.count("create") < 8
        await eventually(lambda: daemon.state() == "failed")
        is_deadly = False
        await daemon.ready()


async def test_a_warm_sandbox_is_claimed_in_a_moment_with_its_workspace(home: Home) -> None:
    home.write(text='warm = 1\nsessions = []\nsetup = ["echo ready > made"]\n')
    async with home.daemon() as daemon:
        await eventually(lambda: [w.setup for w in daemon.warm] == ["done"])
        (warm,) = daemon.running
        home.world.delay["observe"] = 1.5  # a claim must not wait for a look
        await asyncio.sleep(0)
        daemon.sessions.open(MAIN)
        live = await daemon.ready(within=1.0)
        assert live.container == warm
        assert await run(live, f"cat {home.workspaces}/main/workspace/made", "/") == "ready\n"
        assert daemon.facts("sandbox_claimed")[0].session == "main"
        home.world.delay.clear()
        daemon.sessions.reconciler.wake()
        await eventually(lambda: len(daemon.running) == 2, within=20)


async def test_a_claim_is_one_request_to_the_engine_and_the_pool_is_filled_after_it(
    home: Home,
) -> None:
    home.write(text="warm = 1\nsessions = []\n")
    async with home.daemon() as daemon:
        await eventually(lambda: [w.attached for w in daemon.warm] == [True])
        await eventually(lambda: not daemon.sessions.plan())
        await came_to_rest(daemon)
        before = len(home.world.actions)
        daemon.sessions.open(MAIN)
        live = await daemon.ready()
        assert await run(live, "echo on", "/") == "on\n"
        asked = [verb for verb, _ in home.world.actions[before:] if verb != "observe"]
        assert asked[0] == "claim"
        await eventually(lambda: [w.attached for w in daemon.warm if w.attached] == [True])
        asked = [verb for verb, _ in home.world.actions[before:] if verb != "observe"]
        assert asked == ["claim", "create", "start", "open"]


async def test_a_session_that_is_made_is_three_requests_to_the_engine(home: Home) -> None:
    home.write()
    home.write("other", "sessions = []\n")
    async with home.daemon() as daemon:
        await daemon.ready()
        await came_to_rest(daemon)
        before = len(home.world.actions)
        daemon.sessions.open(SessionName("second"), ProfileName("other"))
        await daemon.ready(SessionName("second"))
        asked = [verb for verb, _ in home.world.actions[before:]]
        assert [verb for verb in asked if verb != "observe"] == ["create", "start", "open"]


async def test_a_guest_that_died_in_the_pool_is_replaced_for_who_claimed_it(home: Home) -> None:
    home.write(text="warm = 1\nsessions = []\n")
    async with home.daemon() as daemon:
        await eventually(lambda: [w.attached for w in daemon.warm] == [True])
        (warm,) = daemon.running
        home.world.kill(warm)
        # Nobody has seen it yet, so that it is claimed all the same, or seen just then.
        daemon.sessions.open(MAIN)
        await daemon.ready()
        await eventually(lambda: warm not in daemon.running and daemon.sessions.live(MAIN))
        live = await daemon.ready()
        assert live.container != warm
        assert await run(live, "echo on", "/") == "on\n"
        await eventually(lambda: len(daemon.running) == 2)
        assert warm not in home.world.containers


async def came_to_rest(daemon: Daemon) -> None:
    """Wait until the engine is asked nothing more, for longer than a look may be put off."""
    seen = -1
    while seen != len(daemon.world.actions):
        seen = len(daemon.world.actions)
        await asyncio.sleep(SOON * 5)


async def test_a_claimed_sandbox_is_adopted_after_a_restart(home: Home) -> None:
    home.write(text="warm = 1\nsessions = []\n")
    async with home.daemon() as daemon:
        await eventually(lambda: [w.attached for w in daemon.warm] == [True])
        daemon.sessions.open(MAIN)
        claimed = (await daemon.ready()).container
    async with home.daemon() as daemon:
        assert (await daemon.ready()).container == claimed


async def test_the_folders_of_a_pool_go_with_it(home: Home) -> None:
    home.write(text="warm = 2\nsessions = []\n")
    async with home.daemon() as daemon:
        await eventually(lambda: [w.attached for w in daemon.warm] == [True, True])
        abandoned = home.workspaces / f".warm-{daemon.store.instance}-0000000000"
        abandoned.mkdir()
    home.write(text="warm = 0\nsessions = []\n")
    async with home.daemon() as daemon:
        await eventually(lambda: not home.world.containers)
        await eventually(lambda: not list(home.workspaces.glob(".warm-*")))
