"""SessionService: named, standing wishes for sandboxes; everybody's way to one that is ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deepd.daemon.activity import Activity
from deepd.daemon.books import Books
from deepd.daemon.desk import Desk
from deepd.daemon.keeper import Keeper
from deepd.daemon.ledger import Ledger
from deepd.daemon.live import Live
from deepd.daemon.news import Publish
from deepd.daemon.planned import planned
from deepd.daemon.profiles import ProfileStore
from deepd.daemon.reach import Reach, again, check_open
from deepd.daemon.records import Records
from deepd.daemon.shutdown import stop_all
from deepd.daemon.views import Views
from deepd.engine.base import Engine
from deepd.errors import (
    ArgumentsError,
    ConflictError,
    EngineTimeoutError,
    SandboxStopped,
)
from deepd.model.ids import ContainerId, ProfileName, SessionName, parse_session_name
from deepd.model.profile import Profile
from deepd.model.sandbox import SandboxState, SandboxStats
from deepd.model.session import Session, SessionView, Wanted
from deepd.reconcile.action import image_lane, session_key, up_lane
from deepd.reconcile.backoff import Backoff
from deepd.reconcile.describe import PlannedLine
from deepd.reconcile.executor import Executor
from deepd.reconcile.facts import QUIET
from deepd.reconcile.reconciler import RESYNC, Reconciler
from deepd.reconcile.standing import declared
from deepd.reconcile.step import is_outdated
from deepd.store.store import Store

SETTLE = 30.0
"""Seconds that stop, pause, resume and close wait for their effect."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast sessions are looked after; tests have their own."""

    clock: Callable[[], float] = time.time
    resync: float = RESYNC
    start_concurrency: int = 4


class SessionService:
    """Sessions and the sandboxes that are kept for them; `run()` keeps them until cancelled."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        profiles: ProfileStore,
        publish: Publish,
        *,
        owners: Path,
        pace: Pace | None = None,
    ) -> None:
        pace = pace or Pace()
        self._engine = engine
        self._profiles = profiles
        self._clock = pace.clock
        self._publish = publish
        self._ledger = Ledger(store, pace.clock)
        self._activity = Activity(self._quiet)
        self._backoff = Backoff()
        self._books = books = Books(
            store.instance,
            self._ledger,
            Records(store),
            profiles,
            self._activity,
            self._backoff,
            publish,
            pace.clock,
        )
        self._keeper = Keeper(engine, owners, books)
        self._desk = Desk(books, self._keeper)
        self._executor = Executor(
            engine,
            self._keeper,
            instance=store.instance,
            start_concurrency=pace.start_concurrency,
        )
        self.reconciler = Reconciler(
            engine,
            self._executor,
            self._desk,
            clock=pace.clock,
            resync=pace.resync,
            backoff=self._backoff,
        )
        self._keeper.wake = self.reconciler.wake
        self._views = Views(books, self._keeper, self._desk, self.reconciler, engine)
        self._reach = Reach(books, self._keeper, self._views, self.reconciler)
        self._leases_changed = asyncio.Event()
        profiles.on_change(self._profiles_changed)

    async def run(self) -> None:
        """Keep the sandboxes in line until cancelled; running ones are adopted as they are."""
        self._desk.settle()
        # What a profile keeps in existence comes up at a start, however long the daemon was away.
        for session in self._ledger.all():
            if session.declared:
                self._ledger.touch(session.name)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew_leases(), name="leases")
            tasks.create_task(self.reconciler.run(), name="reconcile")

    def list(self) -> list[SessionView]:
        """Return every session, by name."""
        return self._views.all()

    def view(self, name: SessionName) -> SessionView:
        """Return one session as it is now."""
        return self._views.of(self._ledger.get(name))

    def profile_of(self, name: SessionName) -> Profile:
        """Return the version of its profile that is in force."""
        return self._profiles.get(self._ledger.get(name).profile)

    def live(self, name: SessionName) -> Live | None:
        """Return its sandbox if calls may be sent to it now; never waits."""
        session = self._ledger.find(name)
        return self._views.live(session) if session else None

    def busy(
        self, name: SessionName, kind: Literal["running", "held"]
    ) -> AbstractContextManager[None]:
        """Keep it from idling and from being recreated; its idle clock starts at the end."""
        return self._activity.during(name, kind)

    def containers(self) -> dict[str, str]:
        """Return every container that was made and may still be there, with its engine's name."""
        return {name: record.engine for name, record in self._books.records.all().items()}

    def on_attached(self, callback: Callable[[SessionName, Live], None]) -> None:
        """Call back after every (re)attach, before anybody's `ready()` returns."""
        self._keeper.hooks.attached.append(callback)

    def on_gone(self, callback: Callable[[SessionName, ContainerId, str], None]) -> None:
        """Call back, once, when a container does not run any more, with the cause."""
        self._keeper.hooks.gone.append(callback)

    def on_closed(self, callback: Callable[[SessionName], None]) -> None:
        """Call back when a session is no more."""
        self._keeper.hooks.closed.append(callback)

    def open(self, name: SessionName, profile: ProfileName | None = None) -> SessionView:
        """Get a session, or create it; `ConflictError` when it exists with another profile."""
        name = parse_session_name(name)
        if session := self._ledger.find(name):
            self._check_same(session, profile)
        else:
            found = self._profiles.get(profile or self._only_profile(name))
            now = self._clock()
            is_declared = declared(self._profiles.all()).get(name) == found.name
            self._ledger.put(
                Session(name, found.name, created_at=now, last_active=now, declared=is_declared)
            )
            self._publish("session_opened", session=name, profile=found.name)
            self._forgive(name, found)
            self.reconciler.glance()
        return self.view(name)

    async def ready(self, name: SessionName, *, within: float) -> Live:
        """Want it to run and wait for its sandbox.

        Raises what keeps it from running: `SandboxStopped` when it was stopped or paused on
        purpose, `EngineDownError`, `EngineRefusedError`, `SandboxError` for its setup, or
        `EngineTimeoutError` when time is up.
        """
        return await self._reach.ready(name, within)

    async def start(self, name: SessionName) -> SessionView:
        """Want it to run, whatever failed or was asked for before; does not wait for it."""
        session = self._ledger.get(name)
        check_open(session)
        self._forgive(name, self.profile_of(name))
        self._ledger.change(name, wanted="running", last_active=self._clock())
        self.reconciler.glance()
        return self.view(name)

    async def stop(self, name: SessionName) -> SessionView:
        """Stop its sandbox, whatever runs in it; it stays so until it is started."""
        return await self._want(name, "stopped")

    async def pause(self, name: SessionName) -> SessionView:
        """Freeze its processes until it is resumed."""
        return await self._want(name, "paused")

    async def resume(self, name: SessionName) -> SessionView:
        """Thaw what was paused."""
        if self._ledger.get(name).wanted == "stopped":
            raise ConflictError(f"{name} is stopped, not paused", next_step=f"`deepd start {name}`")
        self._ledger.touch(name)
        return await self._want(name, "running")

    async def close(self, name: SessionName, *, purge: bool = False) -> None:
        """Remove its container and the session; the workspace stays unless it is purged."""
        self._ledger.get(name)
        self._ask(name, "purged" if purge else "closed")
        await self._until(name, lambda: self._ledger.find(name) is None)

    async def stop_all(self) -> None:
        """Stop and remove every container, when the daemon ends; call it after `run()` ended."""
        await stop_all(self._engine, self._executor, self._desk, self._books)

    async def stats(self, name: SessionName) -> SandboxStats:
        """Measure its sandbox once."""
        sandbox = self._views.sandbox(self._ledger.get(name))
        if sandbox is None or sandbox.state is not SandboxState.RUNNING:
            raise SandboxStopped(
                f"the sandbox of {name} does not run", next_step=f"`deepd start {name}`"
            )
        return await self._engine.stats(sandbox.id)

    def plan(self) -> Sequence[PlannedLine]:
        """Return what a reload and the next look would do, each with its cause; nothing changes."""
        return planned(self._books, self._desk, self.reconciler)

    async def aclose(self) -> None:
        """Let go of every sandbox; those that run go on."""
        await self._executor.settle()
        await self._keeper.aclose()
        self._ledger.write_touched()

    def _only_profile(self, name: SessionName) -> ProfileName:
        profiles = self._profiles.all()
        if owner := declared(profiles).get(name):
            return owner
        if len(profiles) == 1:
            return next(iter(profiles))
        known = ", ".join(sorted(profiles)) or "none is loaded"
        raise ArgumentsError(
            f"there is no session {name!r}, and a new one needs a profile",
            next_step=f"name one of the profiles: {known}",
        )

    def _check_same(self, session: Session, profile: ProfileName | None) -> None:
        check_open(session)
        if profile is not None and profile != session.profile:
            raise ConflictError(
                f"session {session.name} exists with profile {session.profile}, not {profile}",
                next_step=f"use another name, or remove it: `deepd rm {session.name}`",
            )

    async def _want(self, name: SessionName, wanted: Wanted) -> SessionView:
        check_open(self._ledger.get(name))
        self._ask(name, wanted)
        await self._until(name, lambda: self._is_as(name, wanted))
        return self.view(name)

    def _ask(self, name: SessionName, wanted: Wanted) -> None:
        self._ledger.change(name, wanted=wanted)
        if wanted != "running":
            self.reconciler.interrupt(session_key(name))
        self._keeper.bell.ring(name)
        self.reconciler.wake()

    def _is_as(self, name: SessionName, wanted: Wanted) -> bool:
        if self._ledger.get(name).wanted != wanted or self.reconciler.doing(session_key(name)):
            return self._ledger.get(name).wanted != wanted
        sandbox = self._views.sandbox(self._ledger.get(name))
        state = sandbox.state if sandbox else SandboxState.STOPPED
        match wanted:
            case "running":
                return state is not SandboxState.PAUSED
            case "paused":
                return state is not SandboxState.RUNNING
            case _:
                return state not in {SandboxState.RUNNING, SandboxState.PAUSED}

    async def _until(self, name: SessionName, is_so: Callable[[], bool]) -> None:
        """Wait for an effect; the wish is stored and stays when this is given up."""
        loop = asyncio.get_running_loop()
        end = loop.time() + SETTLE
        while not is_so():
            if self.reconciler.down:
                raise again(self.reconciler.down)
            if loop.time() >= end:
                raise EngineTimeoutError(
                    f"the engine did not get {name} there within {SETTLE:g} s",
                    next_step="it is tried again by itself",
                )
            await self._keeper.bell.wait(name, end - loop.time())

    def _forgive(self, name: SessionName, profile: Profile) -> None:
        """Somebody asks for it: what failed before may be tried again."""
        self._backoff.mended(up_lane(name))
        self._backoff.mended(image_lane(profile))

    def _quiet(self, name: SessionName) -> None:
        """Nobody is busy with it any more: its idle clock starts, and so may a recreate."""
        self._ledger.touch(name)
        session = self._ledger.find(name)
        profile = self._profiles.all().get(session.profile) if session else None
        if session is None or profile is None:
            self.reconciler.wake()
            return
        if profile.idle_timeout is not None:
            self.reconciler.wake_by(session.last_active + profile.idle_timeout)
        sandbox = self._views.sandbox(session)
        if sandbox and is_outdated(sandbox, profile):
            quiet = QUIET if profile.on_change == "idle" else 0.0
            self.reconciler.wake_by(session.last_active + quiet)

    def _profiles_changed(self) -> None:
        self._desk.settle()
        self._keeper.bell.ring_all()
        self._leases_changed.set()
        self.reconciler.wake()

    async def _renew_leases(self) -> None:
        while True:
            await self._leases_changed.wait()
            self._leases_changed.clear()
            await self._keeper.renew_leases()
