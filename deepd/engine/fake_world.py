"""What a fake engine runs on: its containers and images, and the switches that tests turn."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deepd.engine.fault import NoContainerError
from deepd.engine.process import GuestProcess, ProcessStream, spawn_guest
from deepd.engine.processes import signal_tree
from deepd.errors import EngineDownError
from deepd.guest.binary import guest_binary
from deepd.model.ids import ContainerId
from deepd.model.profile import Limits
from deepd.model.sandbox import SandboxSpec, SandboxState


@dataclass(eq=False)
class FakeContainer:
    """One container: a spec, and a guest's process while it runs."""

    id: ContainerId
    spec: SandboxSpec
    name: str
    image: str
    limits: Limits
    state: SandboxState = SandboxState.CREATED
    exit_code: int | None = None
    created_at: float = field(default_factory=time.time)
    process: GuestProcess | None = None
    stream: ProcessStream | None = None

    def detach(self) -> None:
        """End the stream that is attached, cleanly, as an engine's end does."""
        if self.stream is not None and self.process is not None:
            self.stream.feed_eof()
            self.process.detach(self.stream)
        self.stream = None


class FakeWorld:
    """One engine's state; outlives the `FakeEngine` objects that look at it, as an engine does."""

    def __init__(self, *, guest: Path | None = None) -> None:
        self.containers: dict[ContainerId, FakeContainer] = {}
        self.images: dict[str, str] = {"python:3.12-slim": image_digest("python:3.12-slim")}
        """Name to digest of what is here."""
        self.registry: set[str] = set()
        """Names that can be pulled."""
        self.actions: list[tuple[str, str]] = []
        """Every request: its verb, and the container, name or image that it was about."""
        self.delay: dict[str, float] = {}
        """Seconds that each request of a verb takes."""
        self.is_down = False
        self._guest = guest
        self._faults: dict[str, list[tuple[Exception, bool]]] = {}
        self._watchers: set[asyncio.Event] = set()
        self._waiting: set[asyncio.Task[None]] = set()
        self._folders: list[tempfile.TemporaryDirectory[str]] = []

    def go_down(self) -> None:
        """Stop answering; containers go on."""
        self.is_down = True
        for container in self.containers.values():
            container.detach()
        self.notify()

    def come_up(self) -> None:
        """Answer again."""
        self.is_down = False

    def fail_next(self, verb: str, error: Exception, *, after: bool = False) -> None:
        """Make the next request of this verb fail; `after`: it happens, and fails all the same."""
        self._faults.setdefault(verb, []).append((error, after))

    def kill(self, container: ContainerId) -> None:
        """Kill a container behind everybody's back, as the kernel or a person would."""
        found = self.find(container)
        if found.process is not None:
            signal_tree(found.process.pid, signal.SIGKILL)

    def find(self, container: ContainerId) -> FakeContainer:
        """Return a container, or raise what an engine answers for one that is not there."""
        try:
            return self.containers[container]
        except KeyError:
            raise NoContainerError(f"no such container: {container}") from None

    @asynccontextmanager
    async def request(self, verb: str, about: str = "") -> AsyncIterator[None]:
        """Go through what every request to an engine may meet: it is down, slow, or fails."""
        self.actions.append((verb, about))
        await asyncio.sleep(self.delay.get(verb, 0.0))
        if self.is_down:
            raise EngineDownError(
                "no container engine answers at fake://: the connection is refused",
                next_step="start it",
            )
        faults = self._faults.get(verb)
        error, after = faults.pop(0) if faults else (None, False)
        if error is not None and not after:
            raise error
        yield
        if error is not None:
            raise error

    async def run(self, container: FakeContainer) -> None:
        """Start a container's guest."""
        spec = container.spec
        work_dir = spec.workspace or self._make_folder()
        user = _choose_user(work_dir) if spec.user == "workspace" else spec.user
        command = [str(self._guest or guest_binary()), "--work-dir", str(work_dir)]
        stream = await spawn_guest(
            [*command, "--user", user, "--shell", spec.shell, "--as-is"], cwd=work_dir
        )
        await stream.aclose()
        container.process = stream.process
        container.state, container.exit_code = SandboxState.RUNNING, None
        task = asyncio.create_task(self._wait(container, stream.process), name=container.id)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def wait_until_stopped(self, container: FakeContainer) -> None:
        """Return once a container's end has been noted."""
        tasks = [task for task in self._waiting if task.get_name() == container.id]
        if tasks:
            await asyncio.wait(tasks)

    def notify(self) -> None:
        """Wake who watches."""
        for event in self._watchers:
            event.set()

    async def watch(self) -> AsyncIterator[None]:
        """Yield at first and after every change, until the engine goes down."""
        event = asyncio.Event()
        event.set()
        self._watchers.add(event)
        try:
            while not self.is_down:
                await event.wait()
                event.clear()
                if not self.is_down:
                    yield None
        finally:
            self._watchers.discard(event)

    async def aclose(self) -> None:
        """End every guest that still runs."""
        for container in list(self.containers):
            self.kill(container)
        if self._waiting:
            await asyncio.wait(self._waiting)
        for folder in self._folders:
            folder.cleanup()

    async def _wait(self, container: FakeContainer, process: GuestProcess) -> None:
        code = await process.wait()
        await process.stop()
        container.detach()
        container.process = None
        container.state = SandboxState.STOPPED
        container.exit_code = code if code >= 0 else 128 - code
        self.notify()

    def _make_folder(self) -> Path:
        folder = tempfile.TemporaryDirectory(prefix="deepd-fake-")
        self._folders.append(folder)
        return Path(folder.name)


def _choose_user(folder: Path) -> str:
    """Return the folder's owner, or ourselves where that user could not even come to the folder.

    Test folders are often below one that only root may enter, and the guest's root has no
    capability to write in another's folder.
    """
    reachable = all(parent.stat().st_mode & 0o001 for parent in folder.parents)
    if os.geteuid() == 0 and not reachable:
        os.chown(folder, 0, 0)
    found = folder.stat()
    return f"{found.st_uid}:{found.st_gid}"


def new_container_id() -> ContainerId:
    """Return an id such as docker makes."""
    return ContainerId(secrets.token_hex(32))


def image_digest(image: str) -> str:
    """Return a digest that is always the same for an image's name."""
    return "sha256:" + hashlib.sha256(image.encode()).hexdigest()
