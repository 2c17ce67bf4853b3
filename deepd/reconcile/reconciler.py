"""The loop: look, plan, act, wait; woken by anything, told nothing but that it should look."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from deepd.engine.base import Engine
from deepd.errors import DeepdError, EngineError, ImageNotFoundError, SandboxError
from deepd.model.ids import ContainerId
from deepd.model.sandbox import Sandbox
from deepd.reconcile.action import (
    Action,
    Attach,
    Claim,
    Create,
    CreateWarm,
    PullImage,
    SetUp,
    Start,
    keys,
    lane,
)
from deepd.reconcile.alarm import Alarm
from deepd.reconcile.backoff import Backoff
from deepd.reconcile.executor import Executor
from deepd.reconcile.facts import Failure, World
from deepd.reconcile.plan import Plan, plan, profile_of
from deepd.reconcile.view import View, is_listed

logger = logging.getLogger(__name__)

RESYNC = 10.0
DOWN_FIRST, DOWN_LONGEST = 1.0, 5.0


class Desk(Protocol):
    """Who knows what is wanted and is told what came of it; the daemon's sessions."""

    def observed(self, sandboxes: Sequence[Sandbox], touched: frozenset[str]) -> None:
        """Be shown what the engine has, except that what was `touched` may be different by now."""
        ...

    def world(self, images: frozenset[str], failures: Mapping[str, Failure]) -> World:
        """Return what is wanted and known now."""
        ...

    def began(self, action: Action) -> None:
        """Be told that an action is under way."""
        ...

    async def done(self, action: Action, made: ContainerId | None) -> None:
        """Be told that it is done, and which container it made."""
        ...

    def failed(self, action: Action, failure: Failure) -> None:
        """Be told that it is not, and when it is tried again."""
        ...

    def engine_changed(self, error: EngineError | None) -> None:
        """Be told once when the engine stops answering, and once when it answers again."""
        ...


class Reconciler:
    """Brings the sandboxes in line with what is wanted until it is cancelled."""

    def __init__(
        self,
        engine: Engine,
        executor: Executor,
        desk: Desk,
        *,
        clock: Callable[[], float] = time.time,
        resync: float = RESYNC,
        backoff: Backoff | None = None,
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._desk = desk
        self._clock = clock
        self._resync = resync
        self.backoff = backoff or Backoff()
        self.down: EngineError | None = None
        """Why the engine does not answer, as of the last look."""
        self._view = View()
        self._images: set[str] = set()
        self._alarm = Alarm(clock)
        self._busy: dict[str, Action] = {}
        self._touched: set[str] = set()
        self._acting: dict[asyncio.Task[bool], Action] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def wake(self) -> None:
        """Ask for a look."""
        self._alarm.now()

    def wake_by(self, at: float) -> None:
        """Ask for a look at that time of the clock, if there is none before."""
        self._alarm.by(at)

    @property
    def sandboxes(self) -> tuple[Sandbox, ...]:
        """What the engine is known to have."""
        return self._view.sandboxes

    @property
    def images(self) -> frozenset[str]:
        """The images that the engine is known to have."""
        return frozenset(self._images)

    def doing(self, key: str) -> Action | None:
        """Return the action that works on this now."""
        return self._busy.get(key)

    def interrupt(self, key: str) -> None:
        """End a setup that is under way: somebody wants something else of that session."""
        for task, action in self._acting.items():
            if isinstance(action, SetUp) and key in keys(action):
                task.cancel()

    async def run(self) -> None:
        """Reconcile until cancelled; sessions never wait for each other."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._watch(), name="watch the engine")
            pause = DOWN_FIRST
            while True:
                wake_at = await self.look()
                if self.down:
                    wake_at = self._clock() + pause
                    pause = min(DOWN_LONGEST, pause * 1.5)
                else:
                    pause = DOWN_FIRST
                self.wake_by(self._clock() + self._resync)
                self.wake_by(wake_at or math.inf)
                await self._alarm.wait()

    async def look(self) -> float | None:
        """See what is there and begin what should be done; return when to look again."""
        # What is worked on at any moment while the engine answers is left out: the list may show
        # the world before an action that is over when the list arrives.
        self._touched = set(self._busy)
        self._view.asking()
        self._alarm.reset()
        try:
            sandboxes = await self._engine.observe()
        except EngineError as error:
            self._engine_is(error)
            return None
        self._engine_is(None)
        self._view.listed(sandboxes)
        self._desk.observed(sandboxes, frozenset(self._touched))
        decided = self._plan()
        for action in decided.actions:
            if self._touched.isdisjoint(keys(action)):
                self._begin(action)
        return decided.wake_at

    def glance(self) -> None:
        """Begin at once what brings sessions up, by what is known, without asking the engine.

        What is not known does no harm: a claim of what is gone or taken, and a name that is in use,
        are refused, and a look follows.
        """
        is_under_way = False
        if self.down is None and self._tasks and self._view.is_known:
            for action in self._plan().actions:
                if isinstance(action, Claim | Create):
                    self._begin_if_free(action)
                    is_under_way = True
        if is_under_way:
            self._alarm.soon()
        else:
            self.wake()

    def _is_followed(self, done: Action) -> bool:
        """Begin what follows in the same session by what is known; tell if no look is needed."""
        if not isinstance(done, Create | Start | Attach):
            return isinstance(done, Claim)
        for step in self._plan().actions:
            if isinstance(step, Start | Attach | SetUp) and not keys(done).isdisjoint(keys(step)):
                if isinstance(step, Attach) and not is_listed(step.sandbox):
                    return False
                self._begin_if_free(step)
        return True

    def _begin_if_free(self, action: Action) -> None:
        if self._busy.keys().isdisjoint(keys(action)):
            self._begin(action)

    def _plan(self) -> Plan:
        return plan(self._world(), self._view.sandboxes, self._clock())

    def _world(self) -> World:
        return self._desk.world(self.images, self.backoff.failures)

    def _begin(self, action: Action) -> None:
        if self._tasks is None:
            raise RuntimeError("the reconciler does not run")
        for key in keys(action):
            self._busy[key] = action
            self._touched.add(key)
        self._desk.began(action)
        task = self._tasks.create_task(self._attempt(action), name=f"act: {sorted(keys(action))}")
        self._acting[task] = action
        task.add_done_callback(lambda task: self._end(task, action))

    def _end(self, task: asyncio.Task[bool], action: Action) -> None:
        # Also for a task that was cancelled before it began.
        del self._acting[task]
        self._release(action)
        if not task.cancelled() and task.exception() is None and task.result():
            self._alarm.soon()
        else:
            self.wake()

    def _release(self, action: Action) -> None:
        for key in keys(action):
            if self._busy.get(key) is action:
                del self._busy[key]

    async def _attempt(self, action: Action) -> bool:
        """Carry it out; tell whether the look after it can wait."""
        try:
            made = await self._executor.execute(action)
        except DeepdError as error:
            self._failed(action, error)
        except OSError as error:
            self._failed(action, SandboxError(f"{_verb(action)}: {error}"))
        else:
            self._succeeded(action)
            self._view.done(action, made)
            # Nobody works on the same thing before it is noted what is true of it now.
            await self._desk.done(action, made)
            self._release(action)
            return self._is_followed(action)
        return False

    def _succeeded(self, action: Action) -> None:
        match action:
            case PullImage(profile=profile):
                self._images.add(profile.image_ref)
                self.backoff.mended(lane(action))
            case Create() | CreateWarm() | Start() | Attach():
                pass  # Mended once it is ready: one that starts and dies has not got better.
            case _:
                self.backoff.mended(lane(action))

    def _failed(self, action: Action, error: DeepdError) -> None:
        profile = profile_of(action, self._world())
        if isinstance(error, ImageNotFoundError) and not isinstance(action, PullImage):
            # It was there when it was pulled: get it again before that is called hopeless.
            self._images.discard(profile.image_ref if profile else "")
            error = EngineError(error.detail, next_step=error.next_step)
        container = action.sandbox.id if isinstance(action, Start | Attach | SetUp) else ""
        failure = self.backoff.failed(
            lane(action),
            error,
            now=self._clock(),
            revision=profile.revision() if profile else "",
            container=container,
        )
        logger.warning("%s failed (%d in a row): %s", _verb(action), failure.attempts, error)
        self._release(action)
        self._desk.failed(action, failure)

    def _engine_is(self, error: EngineError | None) -> None:
        was_down, self.down = self.down is not None, error
        if was_down != (error is not None):
            self._desk.engine_changed(error)

    async def _watch(self) -> None:
        pause = DOWN_FIRST
        while True:
            try:
                async for _ in self._engine.watch():
                    pause = DOWN_FIRST
                    self._alarm.soon()
            except EngineError as error:
                logger.debug("cannot watch the engine: %s", error)
            await asyncio.sleep(pause)
            pause = min(DOWN_LONGEST, pause * 1.5)
            self.wake()


def _verb(action: Action) -> str:
    return type(action).__name__.lower()
