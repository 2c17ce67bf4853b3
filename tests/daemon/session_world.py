"""A world of sessions: real files, a real store, real guests on the fake engine, and a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deepd.config.settings import Settings
from deepd.daemon.events import EventBus
from deepd.daemon.live import Live
from deepd.daemon.profiles import ProfileStore
from deepd.daemon.sessions import Pace, SessionService
from deepd.engine.base import Engine
from deepd.engine.fake import FakeEngine
from deepd.engine.fake_world import FakeWorld
from deepd.guest.requests import Execute
from deepd.model.event import Event
from deepd.model.ids import ContainerId, SessionName
from deepd.model.sandbox import SandboxState
from deepd.reconcile.facts import WarmFacts
from deepd.store.store import Store

MAIN = SessionName("main")
IMAGE = "python:3.12-slim"


class Home:
    """What outlives the daemon: the profiles' folder, the state, the workspaces and the engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.profiles = folder / "profiles"
        self.profiles.mkdir()
        self.workspaces = folder / "workspaces"
        self.world = FakeWorld()
        self.engine_of: Callable[[str], Engine] = partial(FakeEngine, world=self.world)

    def write(self, name: str = "p", text: str = "", *, image: str = IMAGE) -> Path:
        """Write a profile with a workspace root of the test's own."""
        path = self.profiles / f"{name}.toml"
        head = f'image = "{image}"\nworkspace_root = "{self.workspaces}"\n'
        temporary = path.with_suffix(".tmp")
        temporary.write_text(head + text)
        temporary.rename(path)
        return path

    @asynccontextmanager
    async def daemon(self, **pace: Any) -> AsyncIterator[Daemon]:
        """Run one life of the sessions' part of a daemon; containers go on after it."""
        daemon = Daemon(self, pace)
        task = asyncio.create_task(daemon.sessions.run())
        try:
            yield daemon
            assert not task.done(), task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await daemon.aclose()

    async def end(self) -> None:
        """Do what the end of a daemon does, when its sessions' part has ended: remove it all."""
        daemon = Daemon(self, {})
        try:
            await daemon.sessions.stop_all()
        finally:
            await daemon.aclose()


@asynccontextmanager
async def new_home() -> AsyncIterator[Home]:
    """Make a home in a folder that an ordinary user can go through, and end its guests."""
    with TemporaryDirectory(prefix="deepd-home-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        home = Home(path)
        try:
            yield home
        finally:
            await home.world.aclose()


class Daemon:
    """Profiles and sessions over a home."""

    def __init__(self, home: Home, pace: dict[str, Any]) -> None:
        self.home = home
        self.world = home.world
        self.store = Store.open(home.folder / "state")
        self.events = EventBus(self.store)
        settings = Settings(
            runtime_dir=home.folder / "run",
            state_dir=home.folder / "state",
            allowed_roots=(home.folder,),
        )
        self.profiles = ProfileStore([home.profiles], settings, self.events.publish)
        self.engine = home.engine_of(self.store.instance)
        self.sessions = SessionService(
            self.engine,
            self.store,
            self.profiles,
            self.events.publish,
            owners=home.folder / "owners",
            pace=Pace(**pace),
        )
        self.profiles.reload()
        self.attached: list[tuple[SessionName, ContainerId]] = []
        self.gone: list[tuple[SessionName, ContainerId, str]] = []
        self.sessions.on_attached(lambda name, live: self.attached.append((name, live.container)))
        self.sessions.on_gone(lambda name, box, cause: self.gone.append((name, box, cause)))

    async def aclose(self) -> None:
        """Let go of everything; containers go on."""
        await self.sessions.aclose()
        await self.engine.aclose()
        self.store.close()

    async def ready(self, name: SessionName = MAIN, within: float = 20.0) -> Live:
        """Wait for a session's sandbox."""
        return await self.sessions.ready(name, within=within)

    def state(self, name: SessionName = MAIN) -> str:
        """Return a session's state in a word."""
        return self.sessions.view(name).state

    def facts(self, kind: str) -> list[Event]:
        """Return the events of a kind."""
        return [event for event in self.events.since(0) if event.kind == kind]

    def count(self, verb: str) -> int:
        """Return how often the engine was asked for something."""
        return [name for name, _ in self.world.actions].count(verb)

    @property
    def warm(self) -> list[WarmFacts]:
        """Return what is known of the warm sandboxes."""
        return list(self.sessions.reconciler._world().warm.values())

    @property
    def running(self) -> list[ContainerId]:
        """Return the containers that run."""
        found = self.world.containers.values()
        return [box.id for box in found if box.state is SandboxState.RUNNING]


async def run(live: Live, command: str, cwd: str = "") -> str:
    """Run a command and return what it printed."""
    # The fake has no mounts, so the folder that a guest was started in may have moved.
    request = Execute(args=(command,), shell=True, cwd=cwd)
    result = await live.sandbox.execute(request)
    assert result.exit.code == 0, result
    return result.output.decode()
