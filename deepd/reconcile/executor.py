"""The executor: carries one action out, decides nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol, assert_never

from deepd.engine.base import Engine
from deepd.engine.many import Engines
from deepd.engine.workspace import prepare_workspace
from deepd.errors import EngineError
from deepd.model.ids import ContainerId, SessionName
from deepd.model.profile import Profile
from deepd.model.sandbox import Sandbox, SandboxSpec, sandbox_name
from deepd.model.session import Session
from deepd.reconcile.action import (
    Action,
    Attach,
    Claim,
    Close,
    Create,
    CreateWarm,
    Pause,
    PullImage,
    Remove,
    Resume,
    SetUp,
    Start,
    Stop,
    Update,
)
from deepd.reconcile.workspace import has_workspace, new_warm_id, warm_name

SETTLE = 10.0
"""Seconds that the end of the daemon waits for an engine that is creating something."""


class Keeper(Protocol):
    """Who holds the streams to the guests and knows the sessions; the daemon."""

    async def attach(self, sandbox: Sandbox) -> None:
        """Open the guest's stream and keep it."""
        ...

    async def set_up(self, sandbox: Sandbox, profile: Profile) -> None:
        """Run the setup commands; raise `SetupError` when one fails."""
        ...

    async def detach(self, sandbox: Sandbox) -> None:
        """Let go of the stream, if there is one."""
        ...

    async def close(self, session: Session) -> None:
        """Forget a session that has no container, with its workspace when it is purged."""
        ...

    def progress(self, image: str, text: str, done: float | None) -> None:
        """Be told how a pull or build goes on."""
        ...


class Executor:
    """Turns actions into calls of the engine and of the keeper."""

    def __init__(
        self, engine: Engine, keeper: Keeper, *, instance: str, start_concurrency: int = 4
    ) -> None:
        self._engine = engine
        self._keeper = keeper
        self._instance = instance
        # An engine starts about 20 a second; more at a time only makes each of them later.
        self._starting = asyncio.Semaphore(start_concurrency)
        self._making: set[asyncio.Task[ContainerId]] = set()

    async def execute(self, action: Action) -> ContainerId | None:
        """Do it and return the container that was made; raise what kept it from being done."""
        match action:
            case Create(session=session, profile=profile):
                return await self._create(session, profile)
            case CreateWarm(profile=profile):
                return await self._create_warm(profile)
            case PullImage(profile=profile):
                await self._pull(profile)
            case Claim(sandbox=sandbox, session=session, profile=profile):
                await self._claim(sandbox, session.name, profile)
            case Start(sandbox=sandbox):
                async with self._starting:
                    await self._engine.start(sandbox.id)
            case Attach(sandbox=sandbox):
                await self._keeper.attach(sandbox)
            case SetUp(sandbox=sandbox, profile=profile):
                await self._keeper.set_up(sandbox, profile)
            case Close(session=session):
                await self._keeper.close(session)
            case _:
                await self._change(action)
        return None

    async def settle(self) -> None:
        """Wait for what was being created when its action was cancelled; then a look shows it."""
        if self._making:
            await asyncio.wait(set(self._making), timeout=SETTLE)

    async def _change(self, action: Update | Pause | Resume | Stop | Remove) -> None:
        container = action.sandbox.id
        match action:
            case Update(limits=limits):
                await self._engine.update(container, limits)
            case Pause():
                await self._engine.pause(container)
            case Resume():
                await self._engine.resume(container)
            case Stop():
                await self._engine.stop(container)
            case Remove():
                await self._keeper.detach(action.sandbox)
                await self._engine.remove(container)
            case _:
                assert_never(action)

    async def _pull(self, profile: Profile) -> None:
        def tell(text: str, done: float | None) -> None:
            self._keeper.progress(profile.image_ref, text, done)

        engine = self._engine
        if isinstance(engine, Engines):
            engine = await engine.choose(profile.engine, profile.local)
        if profile.build:
            await engine.build_image(profile.build, tell)
        else:
            await engine.ensure_image(profile.image, tell)

    async def _create(self, session: Session, profile: Profile) -> ContainerId:
        workspace = await _prepare(profile, session.name)
        generation = session.generation + 1
        spec = self._spec(profile, workspace, session=session.name, generation=generation)
        return await self._make(spec)

    async def _create_warm(self, profile: Profile) -> ContainerId:
        # Never a used one: a claimed sandbox keeps the id of the folder that it was made with.
        warm_id = new_warm_id(self._instance)
        workspace = await _prepare(profile, warm_name(warm_id))
        return await self._make(self._spec(profile, workspace, warm_id=warm_id))

    async def _make(self, spec: SandboxSpec) -> ContainerId:
        """Create a container; when this is cancelled the engine makes it all the same."""
        making = asyncio.create_task(self._engine.create(spec), name=f"create {spec.name}")
        self._making.add(making)
        making.add_done_callback(self._making.discard)
        return await asyncio.shield(making)

    async def _claim(self, sandbox: Sandbox, session: SessionName, profile: Profile) -> None:
        """Hand over the folder, then the container.

        Between the two the folder of the warm sandbox is gone, by which the next look knows that
        it must not be claimed again.
        """
        if has_workspace(profile):
            root = profile.workspace_root
            try:
                (root / warm_name(sandbox.warm_id)).rename(root / session)
            except OSError as error:
                raise EngineError(
                    f"cannot hand over the workspace of {session}: {error}"
                ) from error
        await self._engine.claim(sandbox.id, sandbox_name(self._instance, session))

    def _spec(
        self,
        profile: Profile,
        workspace: Path | None,
        *,
        session: SessionName | None = None,
        warm_id: str = "",
        generation: int = 0,
    ) -> SandboxSpec:
        return SandboxSpec(
            instance=self._instance,
            session=session,
            warm_id=warm_id,
            profile=profile.name,
            spec_hash=profile.container_hash(),
            generation=generation,
            image=profile.image_ref,
            work_dir=profile.work_dir,
            workspace=workspace,
            volumes=profile.volumes,
            user=profile.user,
            shell=profile.shell,
            limits=profile.limits,
            security=profile.security,
            engine=profile.engine,
            local=profile.local,
        )


async def _prepare(profile: Profile, name: str) -> Path | None:
    if not has_workspace(profile):
        return None
    return await asyncio.to_thread(prepare_workspace, profile.workspace_root, name)
