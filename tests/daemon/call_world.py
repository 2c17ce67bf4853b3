"""A world for calls without an engine: its sandbox is a real guest, as a plain process.

The guest outlives the services, as a container does, so a test can restart "the daemon" over it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from deepd.daemon.approvals import ApprovalService
from deepd.daemon.calls import CallService, Submit
from deepd.daemon.events import EventBus
from deepd.daemon.journal import Journal
from deepd.engine.process import GuestProcess, spawn_guest
from deepd.errors import (
    DeepdError,
    EngineDownError,
    EngineTimeoutError,
    NotFoundError,
    ProtocolError,
    SandboxStopped,
)
from deepd.guest.binary import guest_binary
from deepd.guest.connection import Guest
from deepd.model.body import Body
from deepd.model.call import Call
from deepd.model.caller import Caller
from deepd.model.ids import CallId, ContainerId, ProfileName, SessionName
from deepd.model.profile import Profile, Rule, ToolPolicy
from deepd.model.session import SessionView
from deepd.sandbox.sandbox import Sandbox
from deepd.store.store import Store

MAIN = SessionName("main")
AGENT = Caller(uid=1000, pid=1, role="agent", client="planner-7")
HUMAN = Caller(uid=1000, pid=2, role="operator", client="alice")


def asking(*tools: str, deny: tuple[str, ...] = ()) -> tuple[ToolPolicy, ...]:
    """Return an `interrupt_on` that holds some tools and denies others."""
    asked = tuple(ToolPolicy(tool, "ask", timeout=900.0) for tool in tools)
    return asked + tuple(ToolPolicy(tool, "deny") for tool in deny)


@dataclass(frozen=True, eq=False)
class FakeLive:
    """A sandbox that is attached now."""

    sandbox: Sandbox
    guest: Guest
    container: ContainerId
    image: str


class Machine:
    """What outlives the daemon: one container for the one session, and its files."""

    def __init__(self, folder: Path) -> None:
        self.work_dir = folder / "workspace"
        self.work_dir.mkdir()
        self.process: GuestProcess | None = None
        self.container = ContainerId("")
        self.starts = 0

    async def start(self) -> None:
        """Start a container where none runs."""
        if self.process is not None:
            return
        user = f"{os.getuid()}:{os.getgid()}" if os.getuid() else "root"
        command = [str(guest_binary()), "--work-dir", str(self.work_dir), "--user", user]
        stream = await spawn_guest([*command, "--shell", "auto", "--as-is"], cwd=self.work_dir)
        self.process = stream.process
        self.starts += 1
        self.container = ContainerId(f"container-{self.starts}")
        await stream.aclose()

    async def kill(self) -> ContainerId:
        """Kill the container behind everybody's back."""
        assert self.process is not None
        process, self.process = self.process, None
        os.kill(process.pid, 9)
        await process.stop()
        return self.container

    def lines(self, name: str) -> list[str]:
        """Return the lines of a file in the workspace."""
        path = self.work_dir / name
        return path.read_text().splitlines() if path.exists() else []


class FakeSessions:
    """Sessions as calls see them, over one machine."""

    def __init__(self, machine: Machine, profile: Profile) -> None:
        self.machine = machine
        self.profile = profile
        self.is_down = False
        self.is_stopped = False
        self.has_no_profile = False
        self._closed: list[Callable[[SessionName], None]] = []
        self.counts = {"running": 0, "held": 0}
        self.image = "sha256:1"
        self.waited_for = 0.0
        self.is_stuck = False
        """Whether nothing starts although the engine seems to be there."""
        self.deaf = 0
        """How often it does not answer to who attaches."""
        self._live: FakeLive | None = None
        self._attached: list[Callable[[SessionName, Any], None]] = []
        self._gone: list[Callable[[SessionName, ContainerId, str], None]] = []
        self._attaching = asyncio.Lock()

    def open(self, name: SessionName, profile: ProfileName | None) -> None:
        if profile not in (None, self.profile.name):
            raise NotFoundError(f"no profile {profile}")

    def view(self, name: SessionName) -> SessionView:
        container = self.machine.container if self.machine.process else ""
        return SessionView(name, self.profile.name, "ready", container=container)

    def profile_of(self, name: SessionName) -> Profile:
        if self.has_no_profile:
            raise NotFoundError(f"the profile of {name} is not loaded")
        return self.profile

    def live(self, name: SessionName) -> FakeLive | None:
        return None if self._live is None or self._live.guest.closed else self._live

    async def ready(self, name: SessionName, *, within: float) -> FakeLive:
        async with self._attaching:
            if self.is_stopped:
                raise SandboxStopped(f"{name} was stopped on purpose")
            if self.deaf > 0:
                self.deaf -= 1
                raise ProtocolError("the sandbox's guest did not answer within 5 s")
            if self.is_stuck:
                self.waited_for = within
                await asyncio.sleep(within)
                raise EngineTimeoutError(f"{name} was not ready within {within:g} s")
            if self.is_down:
                raise EngineDownError("nobody answers at unix:///docker.sock")
            if (live := self.live(name)) is not None:
                return live
            await self.machine.start()
            assert self.machine.process is not None
            guest = await Guest.connect(self.machine.process.open())
            sandbox = Sandbox(guest, work_dir=str(self.machine.work_dir))
            self._live = FakeLive(sandbox, guest, self.machine.container, self.image)
            for callback in self._attached:
                callback(name, self._live)
            return self._live

    @contextmanager
    def busy(self, name: SessionName, kind: Literal["running", "held"]) -> Iterator[None]:
        self.counts[kind] += 1
        try:
            yield
        finally:
            self.counts[kind] -= 1

    def on_attached(self, callback: Callable[[SessionName, Any], None]) -> None:
        self._attached.append(callback)

    def on_gone(self, callback: Callable[[SessionName, ContainerId, str], None]) -> None:
        self._gone.append(callback)

    def on_closed(self, callback: Callable[[SessionName], None]) -> None:
        self._closed.append(callback)

    def closed(self, name: SessionName) -> None:
        """Tell that a session was removed."""
        for callback in self._closed:
            callback(name)

    async def detach(self) -> None:
        """Lose the stream; the container goes on."""
        if self._live is not None:
            await self._live.guest.aclose()
            self._live = None

    async def kill(self, cause: str = "out of memory") -> None:
        """Lose the container, and hear of it, as always before another takes its place."""
        for callback in self._gone:
            callback(MAIN, self.machine.container, cause)
        await self.machine.kill()
        await self.detach()


class World:
    """The services of one daemon, as its composition root wires them."""

    def __init__(self, folder: Path, machine: Machine, profile: Profile) -> None:
        self.now = 1_000_000.0
        self.store = Store.open(folder / "state")
        self.bus = EventBus(self.store, self.clock)
        self.sessions = FakeSessions(machine, profile)
        journal = Journal(self.store, self.bus, self.clock)
        self.approvals = ApprovalService(journal, self.bus, self.sessions)
        self.calls = CallService(journal, self.bus, self.sessions, self.approvals)
        self.machine = machine
        self._task: asyncio.Task[None] | None = None

    def clock(self) -> float:
        return self.now

    def start(self) -> None:
        """Begin as the daemon does: take up what is open, then watch the deadlines."""
        self.calls.recover()
        self._task = asyncio.create_task(self.approvals.run())

    async def stop(self) -> None:
        """End as a killed daemon does for the sandbox: the stream is gone, the calls go on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.calls.aclose()
        await self.approvals.aclose()
        await self.sessions.detach()
        self.store.close()

    def set_profile(self, **changed: Any) -> None:
        """Put another version of the profile in force, and recheck what is held."""
        self.sessions.profile = self.profile_with(**changed)
        self.approvals.recheck()

    def profile_with(self, **changed: Any) -> Profile:
        """Return another version of the profile, not in force."""
        return replace(self.sessions.profile, **changed)

    async def submit(self, tool: str = "execute", /, **args: Any) -> Call:
        """Submit a call of the agent's."""
        return await self.calls.submit(Submit(MAIN, tool, args), AGENT)

    async def submit_for(self, timeout: float, command: str, *, background: bool = False) -> Call:
        """Submit a command that may run for so long."""
        made = Submit(MAIN, "execute", {"command": command}, timeout=timeout, background=background)
        return await self.calls.submit(made, AGENT)

    async def run(self, command: str, **args: Any) -> Call:
        """Submit a command and wait for its end."""
        call = await self.submit(command=command, **args)
        return await self.end(call)

    async def end(self, call: Call | CallId, within: float = 15.0) -> Call:
        """Wait for the end of a call."""
        call_id = call.id if isinstance(call, Call) else call
        return await self.calls.wait(call_id, within)

    async def text(self, call: Call) -> str:
        """Return the kept output of a call, both streams."""
        chunks = [chunk async for chunk in self.calls.output(call.id)]
        return b"".join(chunk.data for chunk in chunks).decode(errors="replace")


class Worlds:
    """One daemon after another over the same state folder and container."""

    def __init__(self, folder: Path, **profile: Any) -> None:
        self._folder = folder
        self.machine = Machine(folder)
        self.profile = Profile(
            name=ProfileName("python"), file=folder / "python.toml", image="python", **profile
        )
        self.world: World | None = None

    async def start(self) -> World:
        """Start a daemon, the first or the next."""
        if self.world is not None:
            self.profile = self.world.sessions.profile
            await self.stop()
        self.world = World(self._folder, self.machine, self.profile)
        self.world.start()
        return self.world

    async def stop(self) -> None:
        """Stop the daemon and leave the container."""
        if self.world is not None:
            world, self.world = self.world, None
            await world.stop()


@asynccontextmanager
async def daemons(folder: Path, **profile: Any) -> AsyncIterator[Worlds]:
    """Run daemons until the end of the test, which is the end of the container too."""
    worlds = Worlds(folder, **profile)
    try:
        yield worlds
    finally:
        await worlds.stop()
        if worlds.machine.process is not None:
            with contextlib.suppress(DeepdError, ProcessLookupError):
                await worlds.machine.kill()


__all__ = ["AGENT", "HUMAN", "MAIN", "Body", "Rule", "World", "Worlds", "asking", "daemons"]
