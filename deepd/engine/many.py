"""Several engines as one: each sandbox is made where its profile says, and found by its id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from deepd.engine.base import ByteStream, Engine, EngineInfo, Progress
from deepd.engine.fault import PODMAN_STEP
from deepd.engine.local import LOCAL_ID
from deepd.errors import EngineDownError, EngineError, EngineRefusedError
from deepd.model.ids import ContainerId
from deepd.model.profile import Build, EngineName, Limits, Local, Profile
from deepd.model.sandbox import Sandbox, SandboxSpec, SandboxStats

_WITHOUT_CONTAINERS = (
    'without a container engine: engine = "local", or fallback = true under [local], runs'
    " sandboxes under bubblewrap"
)


@dataclass(slots=True, eq=False)
class _Member:
    """One container engine, and what is known of it."""

    name: str
    """What profiles call it."""
    engine: Engine
    answered: bool = False
    trouble: EngineError | None = None
    seen: frozenset[ContainerId] = frozenset()
    """The sandboxes of ours that are on it."""

    @property
    def names(self) -> set[str]:
        """What profiles call it, and what it says it is."""
        return {self.name, self.engine.name}

    async def observe(self) -> list[Sandbox]:
        try:
            found = await self.engine.observe()
        except EngineError as error:
            self.trouble = error
            raise
        self.trouble, self.answered = None, True
        self.seen = frozenset(sandbox.id for sandbox in found)
        return _named(found, self.engine)

    async def ask(self) -> EngineInfo:
        info = await self.engine.info()
        self.trouble, self.answered = None, True
        return info


class Engines:
    """An `Engine` over container engines and the local one; asks only those that are used.

    `auto` is the first container engine that has answered, and stays it.
    """

    def __init__(
        self,
        containers: Engine,
        local: Engine,
        *,
        podman: Engine | None = None,
        profiles: Callable[[], Iterable[Profile]] = tuple,
        expected: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`expected` are the sandboxes that an earlier daemon had, each with its engine's name.

        The name is empty where nobody knows it.
        """
        self._members = [_Member("docker", containers)]
        if podman is not None and podman.endpoint != containers.endpoint:
            self._members.append(_Member("podman", podman))
        self._local = local
        self.profiles = profiles
        self.expected = expected
        self._auto: _Member | None = None
        self._trouble: EngineError | None = None

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
        first = self._first
        info = await first.info()
        if first is self._local:
            missing = (str(self._trouble),) if self._trouble else ()
            return replace(info, warnings=(*info.warnings, *missing))
        for member in self._members:
            if member.engine is not first and (member.name in self._wanted() or member.seen):
                info = _with_other(info, member.name, await _info_or_trouble(member.engine))
        if self._uses_local():
            info = _with_other(info, "local", await self._local.info())
        return info

    async def observe(self) -> list[Sandbox]:
        """List the sandboxes of all that are used.

        A container engine that does not answer fails the look, unless nothing of ours can be on
        it and others are used: a sandbox that cannot be seen is not one that is gone.
        """
        found = _named(await self._local.observe(), self._local)
        asked = [member for member in self._members if self._is_asked(member)]
        for member in asked:
            with suppress(EngineError):
                found += await member.observe()
        silent = [member for member in asked if member.trouble]
        missing = self._unseen({sandbox.id for sandbox in found})
        for member in silent:
            if member.seen or (not member.answered and self._may_have(member, missing)):
                raise _trouble(member)
        for member in asked:
            if not member.trouble:
                self._settle(member)
        self._trouble = silent[0].trouble if silent and len(silent) == len(asked) else None
        if self._trouble is not None and not self._uses_local():
            raise self._trouble
        return found

    async def choose(self, name: EngineName, local: Local) -> Engine:
        """Return the engine for a profile, or raise why it is not there."""
        match name:
            case "local":
                return self._local
            case "docker":
                return self._members[0].engine
            case "podman":
                return await self._podman()
            case "auto":
                return await self._first_that_answers(local)
            case _:
                raise EngineRefusedError(
                    f'there is no engine = "{name}" in this daemon',
                    next_step='say engine = "auto", "docker", "podman" or "local"',
                )

    async def ensure_image(self, image: str, progress: Progress) -> str:
        """Return the digest of a container engine's image."""
        return await self._any.ensure_image(image, progress)

    async def build_image(self, build: Build, progress: Progress) -> str:
        """Return the digest of what a container engine built."""
        return await self._any.build_image(build, progress)

    async def create(self, spec: SandboxSpec) -> ContainerId:
        """Create one sandbox where its profile wants it."""
        engine = await self.choose(spec.engine, spec.local)
        container = await engine.create(spec)
        for member in self._members:
            if member.engine is engine:
                member.seen |= {container}
        return container

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
        engines = [self._local, *(member.engine for member in self._members)]
        ends = await asyncio.gather(
            *(engine.aclose() for engine in engines), return_exceptions=True
        )
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _first_that_answers(self, local: Local) -> Engine:
        if self._auto is not None:
            return self._auto.engine
        errors: list[EngineDownError] = []
        for member in self._members:
            try:
                await member.ask()
            except EngineDownError as error:
                errors.append(error)
            else:
                self._settle(member)
                return member.engine
        if local.fallback:
            return self._local
        raise EngineDownError(
            errors[0].detail, next_step=f"{errors[0].next_step}; {_WITHOUT_CONTAINERS}"
        ) from errors[0]

    async def _podman(self) -> Engine:
        """Return Podman, at its own endpoint or at that which docker is asked at."""
        trouble: EngineDownError | None = None
        for member in reversed(self._members):
            try:
                info = await member.ask()
            except EngineDownError as error:
                trouble = trouble or error
            else:
                if info.name == "podman":
                    return member.engine
        if trouble is not None:
            raise trouble
        raise EngineRefusedError(
            "there is no podman here: what answers is docker",
            next_step=PODMAN_STEP,
        )

    def _settle(self, member: _Member) -> None:
        """Let `auto` be this one from now on, if it is none yet."""
        if self._auto is None and (member is self._members[0] or self._is_auto_wanted()):
            self._auto = member

    @property
    def _any(self) -> Engine:
        return (self._auto or self._members[0]).engine

    @property
    def _first(self) -> Engine:
        if self._trouble is not None and self._uses_local():
            return self._local
        used = [member for member in self._members if self._is_asked(member)]
        if not used:
            return self._local
        if self._auto is not None and self._auto in used:
            return self._auto.engine
        wanted = [member for member in used if member.name in self._wanted()]
        return (wanted if wanted and not self._is_auto_wanted() else used)[0].engine

    def _of(self, container: ContainerId) -> Engine:
        if is_local(container):
            return self._local
        return next((m.engine for m in self._members if container in m.seen), self._any)

    def _heard(self) -> list[Engine]:
        silent = self._trouble is not None and self._uses_local()
        asked = [] if silent else [m for m in self._members if self._is_asked(m) and not m.trouble]
        return [self._local, *(member.engine for member in asked)]

    def _is_asked(self, member: _Member) -> bool:
        if member.seen or member.name in self._wanted():
            return True
        if self._auto is None and self._may_have(member, self._unseen()):
            return True
        return self._is_auto_wanted() and self._auto in {None, member}

    def _unseen(self, found: Collection[str] = ()) -> set[str]:
        """Return the engines of containers that an earlier daemon had and that none has shown."""
        seen = {container for member in self._members for container in member.seen}
        return {
            engine
            for container, engine in self.expected().items()
            if not is_local(container) and container not in seen and container not in found
        }

    def _may_have(self, member: _Member, engines: Collection[str]) -> bool:
        """Tell whether what was on one of these is perhaps on this one.

        An engine that none of ours says it is may be any of them: one answers for another at its
        address, and says so when it is asked.
        """
        known = {name for one in self._members for name in one.names}
        return any(name in member.names or name not in known for name in engines)

    def _is_auto_wanted(self) -> bool:
        wanted = self._wanted()
        return not wanted or "auto" in wanted

    def _wanted(self) -> set[str]:
        return {profile.engine for profile in self.profiles()}

    def _uses_local(self) -> bool:
        return any(
            profile.engine == "local" or (profile.engine == "auto" and profile.local.fallback)
            for profile in self.profiles()
        )


def is_local(container: str) -> bool:
    """Tell whether an id is that of a local sandbox."""
    return container.startswith(LOCAL_ID)


def _trouble(member: _Member) -> EngineError:
    return member.trouble or EngineError(f"{member.name} does not answer")


async def _info_or_trouble(engine: Engine) -> EngineInfo:
    try:
        return await engine.info()
    except EngineError as error:
        return EngineInfo(
            engine.name, engine.endpoint, "", isolation="down", warnings=(str(error),)
        )


def _with_other(info: EngineInfo, name: str, other: EngineInfo) -> EngineInfo:
    notes = tuple(f"{name}: {warning}" for warning in other.warnings)
    return replace(
        info,
        isolation=f"{info.isolation}; {name}: {other.isolation}",
        warnings=(*info.warnings, *notes),
    )


async def _listen(engine: Engine, woken: asyncio.Event) -> None:
    try:
        async for _ in engine.watch():
            woken.set()
    finally:
        woken.set()


def _named(sandboxes: Iterable[Sandbox], engine: Engine) -> list[Sandbox]:
    return [replace(sandbox, engine=engine.name) for sandbox in sandboxes]
