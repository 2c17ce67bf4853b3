"""A daemon on a real socket over the fake engine, an agent that asks, and the dashboard on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

from deepd.client.async_ import AsyncClient
from deepd.config.settings import Settings
from deepd.daemon.daemon import Daemon
from deepd.engine.fake import FakeEngine
from deepd.engine.fake_world import FakeWorld
from deepd.tui.app import Dashboard
from deepd.tui.guard import PAUSE
from tests.eventually import eventually
from tests.tui.keys import PRESSED

if TYPE_CHECKING:
    from textual.pilot import Pilot

IMAGE = "python:3.12-slim"
_HOPS = 4
"""From a key to a widget, to its screen, to the app, and back to what is drawn."""
_LOOK = 0.03
"""Seconds between two looks at the screen, each of which draws it."""
_UP = frozenset({"ready", "held", "busy"})
HELD = 'interrupt_on = ["execute", "write_file", "edit_file"]\n'


class House:
    """Folders, an engine, and one daemon at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = FakeWorld()
        (folder / "profiles").mkdir()
        (folder / "run").mkdir(mode=0o700)
        self.operator = AsyncClient(folder / "run" / "deepd.sock", name="operator")
        self.agent = AsyncClient(folder / "run" / "agent.sock", name="planner-7")
        self._daemon: Daemon | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def socket(self) -> Path:
        """Where the daemon answers."""
        return self.folder / "run" / "deepd.sock"

    def profile(self, name: str = "strict", text: str = HELD) -> Path:
        """Write a profile with folders of the test's own."""
        path = self.folder / "profiles" / f"{name}.toml"
        head = f'image = "{IMAGE}"\nworkspace_root = "{self.folder}/work"\n'
        temporary = path.with_suffix(".tmp")
        temporary.write_text(head + text)
        temporary.rename(path)
        return path

    def path(self, name: str) -> str:
        """Return a path in the workspace of `main`: the fake engine mounts nothing."""
        return f"{self.folder}/work/main/workspace/{name}"

    async def start(self) -> None:
        """Start the daemon, and wait until `main` is ready."""
        settings = Settings(
            runtime_dir=self.folder / "run",
            state_dir=self.folder / "state",
            allowed_roots=(self.folder,),
        )
        ready = asyncio.Event()
        self._daemon = Daemon(
            settings,
            [self.folder / "profiles"],
            engine_of=lambda instance, _: FakeEngine(instance, self.engine),
        )
        self._task = asyncio.create_task(self._daemon.run(ready.set))
        await asyncio.wait_for(ready.wait(), 20)

    async def stop(self, *, keep: bool = False) -> None:
        """End the daemon."""
        if self._daemon is not None and self._task is not None:
            self._daemon.stop(keep)
            with suppress(asyncio.CancelledError):
                await self._task
        self._daemon = None

    async def ready(self, name: str = "main") -> None:
        """Wait for a session's sandbox."""
        async with asyncio.timeout(20):
            while (await self.operator.session(name))["state"] not in _UP:  # noqa: ASYNC110 - it is asked
                await asyncio.sleep(0.02)

    async def hold(self, command: str, **options: Any) -> dict[str, Any]:
        """Let the agent ask for a command that is held; return the call."""
        return await self.ask("execute", {"command": command, **options})

    async def ask(self, tool: str, args: dict[str, Any], session: str = "main") -> dict[str, Any]:
        """Let the agent ask for anything; return the call."""
        return await self.agent.submit(session, tool, args, wait=False)

    async def state(self, call: dict[str, Any]) -> str:
        """Return where a call is."""
        return str((await self.operator.call(call["id"]))["state"])

    async def ended(self, call: dict[str, Any]) -> dict[str, Any]:
        """Wait for a call's end."""
        return await self.operator.call(call["id"], wait=20)

    async def output(self, call: dict[str, Any]) -> str:
        """Return what a call printed."""
        pieces = [line["data"] async for line in self.operator.output(call["id"]) if "data" in line]
        return b"".join(pieces).decode()


@asynccontextmanager
async def new_house(text: str = HELD) -> AsyncIterator[House]:
    """Build one with a daemon that runs; tear it down."""
    with TemporaryDirectory(prefix="deepd-tui-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        house = House(folder)
        house.profile(text=text)
        await house.start()
        await house.ready()
        try:
            yield house
        finally:
            house.operator.close()
            house.agent.close()
            await house.stop()
            await house.engine.aclose()


class Attachable(Protocol):
    """Where a daemon answers, in this process or in another one."""

    @property
    def socket(self) -> Path:
        """The operators' socket."""
        ...


class Desk:
    """The dashboard of a house, with the hands of a person whose moments pass by `think` alone."""

    def __init__(self, app: Dashboard, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot
        self._pace = 0.0
        app.pace = lambda: self._pace

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            PRESSED.add((self.app.current_mode, key))
            await self.pilot.press(key)
            await self.settle()

    async def think(self) -> None:
        """Take as long as a person takes at least who decides."""
        await self.settle()
        self._pace += PAUSE + 0.05

    async def click(self, x: int, y: int) -> None:
        """Click on a place of the screen."""
        await self.pilot.click(offset=(x, y))
        await self.settle()

    async def settle(self) -> None:
        """Let every widget handle its messages, and those that come of them."""
        for _ in range(_HOPS):
            await self.pilot.pause()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something to be on screen or in the app."""
        await eventually(condition, every=_LOOK)
        await self.settle()

    async def sees(self, text: str) -> None:
        """Wait until a text is on screen."""
        try:
            await self.until(lambda: text in self.screen())
        except AssertionError:
            raise AssertionError(f"{text!r} is not in\n{self.screen()}") from None

    def screen(self) -> str:
        """Return what is on screen, as plain lines."""
        width, _ = self.app.size
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text[:width].rstrip() for strip in strips)

    def said(self) -> str:
        """Return what the dashboard says in its corner."""
        return "\n".join(note.message for note in self.app._notifications)


@asynccontextmanager
async def dashboard(
    house: Attachable, *, size: tuple[int, int] = (120, 30), **options: Any
) -> AsyncIterator[Desk]:
    """Attach a dashboard, and wait until it has seen the daemon."""
    app = Dashboard(AsyncClient(house.socket, name="dashboard"), **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        await eventually(lambda: app.world.connected)
        await pilot.pause()
        yield Desk(app, pilot)
