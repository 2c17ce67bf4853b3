"""An engine without containers: each sandbox is a guest that runs as an ordinary process here.

Fast and real enough for the tests of everything above the engine; it isolates nothing. The same
tests hold it and the docker engine to the same behaviour.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

from deepd.engine.base import ByteStream, EngineInfo, Progress
from deepd.engine.fake_world import (
    FakeContainer,
    FakeWorld,
    image_digest,
    new_container_id,
)
from deepd.engine.fault import no_image
from deepd.engine.labels import read_session
from deepd.engine.processes import measure, signal_tree
from deepd.engine.stats import CpuSample, read_stats
from deepd.errors import EngineError
from deepd.model.ids import ContainerId
from deepd.model.profile import Build, Limits
from deepd.model.sandbox import Sandbox, SandboxSpec, SandboxState, SandboxStats


class FakeEngine:
    """An `Engine` over a `FakeWorld`; two with one world are two daemons on one engine."""

    name = "fake"
    endpoint = "fake://"

    def __init__(self, instance: str, world: FakeWorld | None = None) -> None:
        self._instance = instance
        self.world = world or FakeWorld()
        self._cpu: dict[ContainerId, CpuSample] = {}

    async def info(self) -> EngineInfo:
        """Say who is there."""
        async with self.world.request("info"):
            return EngineInfo(self.name, self.endpoint, version="1", isolation="none: processes")

    async def observe(self) -> list[Sandbox]:
        """List our instance's containers."""
        async with self.world.request("observe"):
            containers = list(self.world.containers.values())
            return [_look(found) for found in containers if found.spec.instance == self._instance]

    async def ensure_image(self, image: str, progress: Progress) -> str:
        """Return an image's digest; one of the registry is there after a moment."""
        if image not in self.world.images:
            async with self.world.request("pull", image):
                if image not in self.world.registry:
                    raise no_image(image)
                progress(f"pulling {image}", 0.5)
                self.world.images[image] = image_digest(image)
        return self.world.images[image]

    async def build_image(self, build: Build, progress: Progress) -> str:
        """Return a build's digest; nothing is run for it."""
        if build.tag() not in self.world.images:
            await self.ensure_image(build.base_image, progress)
            async with self.world.request("build", build.tag()):
                progress(f"building on {build.base_image}", 0.5)
                self.world.images[build.tag()] = image_digest(build.tag())
        return self.world.images[build.tag()]

    async def create(self, spec: SandboxSpec) -> ContainerId:
        """Create one container, not started."""
        async with self.world.request("create", spec.name):
            self._check_name(spec.name, doing=f"cannot create the sandbox {spec.name}")
            if spec.image not in {*self.world.images, *self.world.images.values()}:
                raise no_image(spec.image)
            container = FakeContainer(
                id=new_container_id(),
                spec=spec,
                name=spec.name,
                image=self.world.images.get(spec.image, spec.image),
                limits=spec.limits,
            )
            self.world.containers[container.id] = container
            self.world.notify()
            return container.id

    async def start(self, container: ContainerId) -> None:
        """Start its guest."""
        async with self.world.request("start", container):
            found = self.world.find(container)
            if found.state is SandboxState.PAUSED:
                raise EngineError("cannot start the sandbox: it is paused")
            if found.state is not SandboxState.RUNNING:
                await self.world.run(found)
                self.world.notify()

    async def stop(self, container: ContainerId) -> None:
        """End its guest."""
        async with self.world.request("stop", container):
            found = self.world.containers.get(container)
            if found is not None and found.process is not None:
                if found.state is SandboxState.PAUSED:
                    signal_tree(found.process.pid, signal.SIGCONT)
                await found.process.stop()
                await self.world.wait_until_stopped(found)

    async def pause(self, container: ContainerId) -> None:
        """Freeze its processes."""
        async with self.world.request("pause", container):
            self._signal(container, signal.SIGSTOP, SandboxState.PAUSED)

    async def resume(self, container: ContainerId) -> None:
        """Thaw them."""
        async with self.world.request("resume", container):
            if self.world.find(container).state is SandboxState.PAUSED:
                self._signal(container, signal.SIGCONT, SandboxState.RUNNING)

    async def remove(self, container: ContainerId) -> None:
        """Remove it, running or not."""
        async with self.world.request("remove", container):
            found = self.world.containers.get(container)
            if found is not None:
                self.world.kill(container)
                await self.world.wait_until_stopped(found)
                self.world.containers.pop(container, None)
                self.world.notify()

    async def claim(self, container: ContainerId, name: str) -> None:
        """Give it another name."""
        async with self.world.request("claim", name):
            found = self.world.find(container)
            self._check_name(name, doing=f"cannot name the sandbox {name}")
            found.name = name
            self.world.notify()

    async def update(self, container: ContainerId, limits: Limits) -> None:
        """Note the limits; nothing enforces them."""
        async with self.world.request("update", container):
            self.world.find(container).limits = limits

    async def stats(self, container: ContainerId) -> SandboxStats:
        """Measure the guest's processes."""
        async with self.world.request("stats", container):
            found = self.world.find(container)
            if found.process is None:
                raise EngineError("the sandbox is not running: there is nothing to measure")
            raw = measure(found.process.pid, found.limits.memory)
            stats, self._cpu[container] = read_stats(raw, self._cpu.get(container))
            return stats

    async def open(self, container: ContainerId) -> ByteStream:
        """Attach to its guest."""
        async with self.world.request("open", container):
            found = self.world.find(container)
            if found.process is None or found.state is not SandboxState.RUNNING:
                raise EngineError(f"cannot attach to the sandbox: it is {found.state}")
            found.stream = found.process.open()
            return found.stream

    async def watch(self) -> AsyncIterator[None]:
        """Yield at first and after every change."""
        async with self.world.request("watch"):
            pass
        async for _ in self.world.watch():
            yield None

    async def aclose(self) -> None:
        """Nothing to close: guests go on, until `world.aclose()`."""

    def _check_name(self, name: str, *, doing: str) -> None:
        if any(found.name == name for found in self.world.containers.values()):
            raise EngineError(f"{doing}: a container of that name exists already")

    def _signal(self, container: ContainerId, number: signal.Signals, state: SandboxState) -> None:
        found = self.world.find(container)
        if found.process is None:
            raise EngineError(f"the sandbox is not running but {found.state}")
        signal_tree(found.process.pid, number)
        found.state = state
        self.world.notify()


def _look(container: FakeContainer) -> Sandbox:
    spec = container.spec
    return Sandbox(
        id=container.id,
        name=container.name,
        session=read_session(container.name, spec.instance),
        profile=spec.profile,
        state=container.state,
        spec_hash=spec.spec_hash,
        image=container.image,
        generation=spec.generation,
        created_at=container.created_at,
        exit_code=container.exit_code,
        warm_id=spec.warm_id,
    )
