"""Whenever the daemon is stopped, no container is left behind."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from deepd.engine.fake import FakeEngine
from deepd.engine.fake_world import FakeWorld
from deepd.model.ids import ContainerId
from deepd.model.sandbox import SandboxSpec
from tests.daemon.session_world import Daemon, new_home
from tests.e2e.conftest import User, containers
from tests.eventually import eventually

PROFILE = """\
image = "deepd-test/busybox"
sessions = ["a", "b", "c", "d"]
warm = 2
"""


class Stubborn(FakeEngine):
    """Creates what it was asked to though nobody waits for it any more, as a real engine does."""

    def __init__(self, instance: str, world: FakeWorld) -> None:
        super().__init__(instance, world)
        self.making: list[asyncio.Task[ContainerId]] = []

    async def create(self, spec: SandboxSpec) -> ContainerId:
        self.making.append(asyncio.create_task(super().create(spec)))
        return await asyncio.shield(self.making[-1])


async def test_what_is_being_created_while_the_daemon_stops_is_removed_too() -> None:
    async with new_home() as home:
        engines: list[Stubborn] = []

        def engine_of(instance: str) -> Stubborn:
            engines.append(Stubborn(instance, home.world))
            return engines[-1]

        home.engine_of = engine_of
        home.write(text='warm = 1\nsessions = ["a"]\n')
        home.world.delay["create"] = 0.3
        daemon = Daemon(home, {})
        running = asyncio.create_task(daemon.sessions.run())
        await eventually(lambda: daemon.count("create") == 2)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await daemon.sessions.stop_all()
        await asyncio.gather(*engines[0].making)
        assert not home.world.containers
        await daemon.sessions.aclose()
        daemon.store.close()


@pytest.mark.docker
def test_a_daemon_that_is_stopped_while_it_starts_leaves_no_container(user: User) -> None:
    path = str(user.profile("hello", PROFILE))
    for turn in range(6):
        user.run("start", "--no-wait", "-c", path)
        time.sleep(turn * 0.06)  # so that each stop meets another step
        user.run("stop")
        assert containers(user) == []
