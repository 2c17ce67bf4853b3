"""Several engines as one: each sandbox is made where its profile says, and found by its id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace

from deepd.engine.base import ByteStream, Engine, EngineInfo, Progress
from deepd.engine.local import LOCAL_ID
from deepd.errors import EngineDownError, EngineError, EngineRefusedError
from deepd.model.ids import ContainerId
from deepd.model.profile import Build, EngineName, Limits, Local, Profile
from deepd.model.sandbox import Sandbox, SandboxSpec, SandboxStats

_WITHOUT_CONTAINERS = (
    'without a container engine: engine = "local", or fallback = true under [local], runs'
    " sandboxes under bubblewrap"
)


class Engines:
    """An `Engine` over a container engine and the local one; asks only those that are used."""

    def __init__(
        self,
        containers: Engine,
        local: Engine,
        *,
        profiles: Callable[[], Iterable[Profile]] = tuple,
        expects_containers: Callable[[], bool] = lambda: False,
    ) -> None:
        """`expects_containers` tells whether an earlier look saw any on the container engine."""
        self._containers = containers
        self._local = local
        self.profiles = profiles
        self.expects_containers = expects_containers
        self._answered = False
        self._trouble: EngineError | None = None
        self._seen: frozenset[ContainerId] = frozenset()

    @property
    def name(self) -> str:
        """The name of the engine that `auto` means now."""
        return self._first.name

    @property
    def endpoint(self) -> str:
        """Where that one is."""
        return self._first.endpoint

    async def info(self) -> EngineInfo:
        """Ask who is there, the first and what else is used."""
        info = await self._first.info()
        if self._first is self._local:
            missing = (str(self._trouble),) if self._trouble else ()
            return replace(info, warnings=(*info.warnings, *missing))
        if self._uses_local():
            local = await self._local.info()
            notes = tuple(f"local: {warning}" for warning in local.warnings)
            return replace(
                info,
                isolation=f"{info.isolation}; local: {local.isolation}",
                warnings=(*info.warnings, *notes),
            )
        return info

    async def observe(self) -> list[Sandbox]:
        """List the sandboxes of all that are used.

        A container engine that does not answer fails the look, unless nothing of ours can be on
        it and others are used: a sandbox that cannot be seen is not one that is gone.
        """
        found = _named(await self._local.observe(), self._local)
        if not self._uses_containers():
            self._trouble = None
            return found
        try:
            containers = await self._containers.observe()
        except EngineError as error:
            self._trouble = error
            may_have = self._seen or (not self._answered and self.expects_containers())
            if may_have or not self._uses_local():
                raise
            return found
        self._trouble, self._answered = None, True
        self._seen = frozenset(sandbox.id for sandbox in containers)
        return found + _named(containers, self._containers)

    async def choose(self, name: EngineName, local: Local) -> Engine:
        """Return the engine for a profile, or raise why it is not there."""
        match name:
            case "local":
                return self._local
            case "docker":
                return self._containers
            case "auto":
                return await self._first_that_answers(local)
            case _:
                raise EngineRefusedError(
                    f'there is no engine = "{name}" in this daemon',
                    next_step="let it serve Docker's API and name its socket with DOCKER_HOST,"
                    ' and say engine = "docker"',
                )

    async def ensure_image(self, image: str, progress: Progress) -> str:
        """Return the digest of a container engine's image."""
        return await self._containers.ensure_image(image, progress)

    async def build_image(self, build: Build, progress: Progress) -> str:
        """Return the digest of what a container engine built."""
        return await self._containers.build_image(build, progress)

    async def create(self, spec: SandboxSpec) -> ContainerId:
        """Create one sandbox where its profile wants it."""
        return await (await self.choose(spec.engine, spec.local)).create(spec)

    async def start(self, container: ContainerId) -> None:
        """Start it."""
        await self._of(container).start(container)

    async def stop(self, container: ContainerId) -> None:
        """Stop it."""
        await self._of(container).stop(container)

    async def pause(self, container: ContainerId) -> None:
        """Freeze it."""
        await self._of(container).pause(container)

    async def resume(self, container: ContainerId) -> None:
        """Thaw it."""
        await self._of(container).resume(container)

    async def remove(self, container: ContainerId) -> None:
        """Remove it."""
        await self._of(container).remove(container)

    async def claim(self, container: ContainerId, name: str) -> None:
        """Give a warm one its session's name."""
        await self._of(container).claim(container, name)

    async def update(self, container: ContainerId, limits: Limits) -> None:
        """Change its limits."""
        await self._of(container).update(container, limits)

    async def stats(self, container: ContainerId) -> SandboxStats:
        """Measure once."""
        return await self._of(container).stats(container)

    async def open(self, container: ContainerId) -> ByteStream:
        """Attach to its guest."""
        return await self._of(container).open(container)

    async def watch(self) -> AsyncIterator[None]:
        """Yield what any of them says; ends when one goes away, or another one is used."""
        engines = self._heard()
        woken = asyncio.Event()
        tasks = [asyncio.create_task(_listen(engine, woken)) for engine in engines]
        try:
            while engines == self._heard():
                await woken.wait()
                woken.clear()
                if ended := [task for task in tasks if task.done()]:
                    ended[0].result()
                    return
                yield None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def aclose(self) -> None:
        """Close connections; sandboxes go on."""
        try:
            await self._local.aclose()
        finally:
            await self._containers.aclose()

    async def _first_that_answers(self, local: Local) -> Engine:
        if self._answered:
            return self._containers
        try:
            await self._containers.info()
        except EngineDownError as error:
            if local.fallback:
                return self._local
            raise EngineDownError(
                error.detail, next_step=f"{error.next_step}; {_WITHOUT_CONTAINERS}"
            ) from error
        return self._containers

    @property
    def _first(self) -> Engine:
        is_missing = self._trouble is not None and self._uses_local()
        return self._local if is_missing or not self._uses_containers() else self._containers

    def _of(self, container: ContainerId) -> Engine:
        return self._local if container.startswith(LOCAL_ID) else self._containers

    def _heard(self) -> list[Engine]:
        silent = self._trouble is not None and self._uses_local()
        return (
            [self._local]
            if silent or not self._uses_containers()
            else [
                self._local,
                self._containers,
            ]
        )

    def _uses_local(self) -> bool:
        return any(
            profile.engine == "local" or (profile.engine == "auto" and profile.local.fallback)
            for profile in self.profiles()
        )

    def _uses_containers(self) -> bool:
        profiles = list(self.profiles())
        others = any(profile.engine != "local" for profile in profiles)
        return others or not profiles or bool(self._seen) or self.expects_containers()


def is_local(container: str) -> bool:
    """Tell whether an id is that of a local sandbox."""
    return container.startswith(LOCAL_ID)


async def _listen(engine: Engine, woken: asyncio.Event) -> None:
    try:
        async for _ in engine.watch():
            woken.set()
    finally:
        woken.set()


def _named(sandboxes: Iterable[Sandbox], engine: Engine) -> list[Sandbox]:
    return [replace(sandbox, engine=engine.name) for sandbox in sandboxes]
