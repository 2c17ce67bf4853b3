"""Machine: one container and the stream to its guest, shared by all objects that mean it."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import assert_never

from deepd.engine.base import Engine
from deepd.engine.fault import NameTakenError
from deepd.errors import (
    CallLostError,
    ConflictError,
    DeepdError,
    EngineDownError,
    EngineError,
    EngineTimeoutError,
    OwnedError,
    ProtocolError,
    SandboxError,
    SandboxStopped,
)
from deepd.guest.connection import Guest
from deepd.library.find import NotUsableError, Step, next_step, sweep
from deepd.library.make import prepare, run_setup
from deepd.library.wish import Wish
from deepd.model.ids import ContainerId
from deepd.model.sandbox import Sandbox as Observed
from deepd.model.sandbox import SandboxState
from deepd.sandbox.owner import OwnerLock
from deepd.sandbox.sandbox import Sandbox

logger = logging.getLogger(__name__)

_SWEEPING = 1.0
"""Seconds to wait for a lock: another process may be removing what a dead one left."""
_LOOKS = 6
_LOOK_AGAIN = 0.1
"""Seconds after which an engine has noticed what its stream already told."""
_STARTS = 3
_GREETING = 10.0
"""Seconds that a container which just started has to answer."""


class Machine:
    """Brings one container up when it is used, rests it when idle, and ends it once.

    For one event loop. `use()` is the way in; it may be taken by any number of tasks at once.
    """

    def __init__(
        self, wish: Wish, engine: Engine, forget: Callable[[Machine], Awaitable[None]]
    ) -> None:
        self.wish = wish
        self.users: weakref.WeakSet[object] = weakref.WeakSet()
        """The objects that mean it; idle and without any, it is ended instead of rested."""
        self.pid = os.getpid()
        self.loop = asyncio.get_running_loop()
        self.ended = False
        """It was stopped, or its container is lost: it does not come back."""
        self.lock: OwnerLock | None = None
        self._engine = engine
        self._forget = forget
        self._container: ContainerId | None = None
        self._creating = False
        """The engine was asked for a container, and may still make it."""
        self._guest: Guest | None = None
        self._sandbox: Sandbox | None = None
        self._is_set_up = not wish.profile.setup
        self._lost = ""
        self._busy = 0
        self._changing = asyncio.Lock()
        self._starting: asyncio.Task[None] | None = None
        self._resting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether something is done in it now."""
        return self._busy > 0

    @property
    def is_blank(self) -> bool:
        """Whether nothing was ever made for it."""
        return self._container is None and not self._creating

    @property
    def is_alive(self) -> bool:
        """Whether its guest is attached now."""
        return self._guest is not None and not self._guest.closed

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Sandbox]:
        """Give the sandbox, started where it is not; it does not go idle before this is left."""
        self._busy += 1
        self._cancel_timer()
        try:
            yield await self._ready()
        except CallLostError as error:
            raise await self._why_lost(error) from error
        finally:
            self._busy -= 1
            if not self._busy:
                self._begin_idling()

    async def stop(self) -> None:
        """End it and let go of its container; again is no error and waits for the same end."""
        await asyncio.shield(self._end_now())

    def end_soon(self) -> None:
        """End it unless somebody has it; from any thread, whatever became of its loop."""
        if self.pid == os.getpid():
            with suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self._end_unused)

    async def leave(self, user: object) -> None:
        """Forget an object for which nothing could be made, and with the last one itself."""
        self.users.discard(user)
        if not self.users and self.is_blank and not self._busy:
            await self._forget(self)

    def _end_unused(self) -> None:
        # Looked through, as its length still counts the one that is just going.
        if not list(self.users) and not self._busy:
            self._end_now()

    def _end_now(self) -> asyncio.Task[None]:
        if self._stopping is None or self._stopping.cancelled():
            self.ended = True
            self._stopping = self.loop.create_task(self._stop(), name=f"stop {self.wish.name}")
            self._stopping.add_done_callback(_retrieved)
        return self._stopping

    async def _ready(self) -> Sandbox:
        for _ in range(_STARTS):
            self._check_usable()
            if self._sandbox is not None and self.is_alive:
                return self._sandbox
            if self._starting is None or self._starting.done():
                self._starting = self.loop.create_task(
                    self._start(), name=f"start {self.wish.name}"
                )
                self._starting.add_done_callback(_retrieved)
            # One start for all who wait; one who gives up takes it from nobody.
            starting = self._starting
            await asyncio.wait({starting})
            if not starting.cancelled():
                starting.result()
        self._check_usable()
        raise EngineError(f"the sandbox {self.wish.session} starts and ends again at once")

    def _check_usable(self) -> None:
        if self._lost:
            raise SandboxError(
                self._lost, next_step="make a new sandbox; files on volumes are still there"
            )
        if self.ended:
            raise SandboxStopped(
                f"the sandbox {self.wish.session} was stopped",
                next_step="make a new one; files on volumes are still there",
            )

    async def _start(self) -> None:
        async with self._changing:
            if self.is_alive:
                return
            await self._let_go()
            await self._own()
            try:
                await self._bring_up()
            except NotUsableError as error:
                await self._lose(str(error))
            except BaseException:
                await self._let_go()
                if self.is_blank:
                    self._disown()
                raise

    async def _own(self) -> None:
        """Take the lock that keeps other processes off, for as long as this machine is used."""
        if self.lock is not None:
            return
        lock = OwnerLock(await asyncio.to_thread(self.wish.owners), ContainerId(self.wish.session))
        deadline = self.loop.time() + _SWEEPING
        while True:
            try:
                lock.acquire()
            except OwnedError:
                if self.loop.time() > deadline:
                    raise
                await asyncio.sleep(0.05)
            else:
                self.lock = lock
                return

    def _disown(self) -> None:
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    async def _bring_up(self) -> None:
        """Look, do the one thing that brings it closer, and look again until its guest answers."""
        observed = await self._engine.observe()
        sweeping = self.loop.create_task(sweep(self._engine, self.wish, observed))
        sweeping.add_done_callback(_retrieved)
        try:
            for _ in range(_LOOKS):
                found = next((one for one in observed if one.name == self.wish.name), None)
                if await self._take(next_step(self.wish, found, self._container), found):
                    return
                observed = await self._engine.observe()
        finally:
            await asyncio.wait({sweeping})
        raise EngineError(f"the sandbox {self.wish.session} runs and cannot be attached to")

    async def _take(self, step: Step, found: Observed | None) -> bool:
        """Take a step and return whether the guest is attached after it."""
        if found is None or step == "create":
            return await self._create()
        match step:
            case "remove":
                await self._engine.remove(found.id)
                return False
            case "start":
                await self._engine.start(found.id)
            case "attach" if found.state is SandboxState.PAUSED:
                await self._engine.resume(found.id)
            case "attach":
                return await self._try_to_attach(found.id)
            case _:
                assert_never(step)
        await self._attach(found.id)
        return True

    async def _try_to_attach(self, container: ContainerId) -> bool:
        """Attach to what is said to run; when it has just ended, the next look will show it."""
        try:
            await self._attach(container)
        except (EngineDownError, EngineTimeoutError):
            raise
        except (EngineError, ProtocolError) as error:
            logger.info("sandbox %s: %s", self.wish.session, error)
            await self._let_go()
            await asyncio.sleep(_LOOK_AGAIN)
            return False
        return True

    async def _create(self) -> bool:
        workspace = await prepare(self._engine, self.wish)
        self._creating = True
        try:
            container = await self._engine.create(self.wish.spec(workspace))
        except NameTakenError:
            return False
        await self._engine.start(container)
        await self._attach(container)
        return True

    async def _attach(self, container: ContainerId) -> None:
        self._container = container
        stream = await self._engine.open(container)
        guest = await Guest.connect(stream, lease=self.wish.lease, deadline=_GREETING)
        self._guest = guest
        sandbox = Sandbox(guest, work_dir=self.wish.profile.work_dir)
        for warning in guest.info.warnings:
            logger.warning("sandbox %s: %s", self.wish.session, warning)
        if not self._is_set_up:
            await run_setup(sandbox, self.wish)
            self._is_set_up = True
        self._sandbox = sandbox

    async def _let_go(self) -> None:
        guest, self._guest, self._sandbox = self._guest, None, None
        if guest is not None:
            await guest.aclose()

    async def _why_lost(self, error: CallLostError) -> DeepdError:
        """Return what a lost stream meant: stopped on purpose, a dead container, or the engine."""
        if self.ended and not self._lost:
            return SandboxStopped(f"the sandbox {self.wish.session} was stopped under this call")
        try:
            for _ in range(_LOOKS):
                observed = await self._engine.observe()
                found = next((one for one in observed if one.id == self._container), None)
                next_step(self.wish, found, self._container)
                await asyncio.sleep(_LOOK_AGAIN)
        except EngineError as trouble:
            return CallLostError(f"{error.detail}: {trouble.detail}", next_step=trouble.next_step)
        except NotUsableError as fate:
            await self._lose(str(fate))
            return CallLostError(
                f"{fate}; whether this call had an effect is not known",
                next_step="make a new sandbox; files on volumes are still there",
            )
        return error

    async def _lose(self, why: str) -> None:
        """Note that the container is gone for good, and leave its name to the next sandbox."""
        self._lost = why
        self.ended = True
        self._cancel_timer()
        await self._let_go()
        self._disown()
        await self._forget(self)

    def _begin_idling(self) -> None:
        idle = self.wish.profile.idle_timeout
        if idle is not None and self.is_alive and not self.ended:
            self._timer = self.loop.call_later(idle, self._begin_resting)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin_resting(self) -> None:
        if not self.users and self.wish.profile.auto_remove:
            self._end_now()
            return
        self._resting = self.loop.create_task(self._rest(), name=f"rest {self.wish.name}")

    async def _rest(self) -> None:
        """Stop the container that nobody uses; it starts again, with its files, when it is used."""
        async with self._changing:
            if self._busy or self.ended or self._container is None:
                return
            await self._let_go()
            try:
                await self._engine.stop(self._container)
            except EngineError as error:
                logger.warning("the idle sandbox %s: %s", self.wish.session, error)

    async def _stop(self) -> None:
        self._cancel_timer()
        for task in (self._starting, self._resting):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})
        try:
            if self._guest is not None:
                with suppress(EngineError):
                    # Should the engine not do it now, the guest ends by itself.
                    await self._guest.set_lease(1)
            await self._let_go()
            await self._end_container()
        except Exception:
            # Not where it was cancelled: its loop is shut down, and the yard tries again.
            await self._give_up()
            raise
        await self._give_up()

    async def _give_up(self) -> None:
        self._disown()
        await self._forget(self)
        if self._lost:
            await self._engine.aclose()

    async def _end_container(self) -> None:
        container = self._container
        if container is None and self._creating:
            observed = await self._engine.observe()
            container = next((one.id for one in observed if one.name == self.wish.name), None)
        if container is None:
            return
        if self.wish.profile.auto_remove:
            await self._engine.remove(container)
        else:
            await self._engine.stop(container)

    def check_same(self, wish: Wish) -> None:
        """Raise `ConflictError` when the wish is for another container than this one."""
        if wish.profile.container_hash() != self.wish.profile.container_hash():
            raise ConflictError(
                f"the sandbox {wish.session} is in use with another image, volumes or settings",
                next_step="stop it first, or use another session id",
            )


def _retrieved(task: asyncio.Task[None]) -> None:
    """Take a task's error, which everybody who waited for it may have left alone."""
    if not task.cancelled():
        task.exception()
