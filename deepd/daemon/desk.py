"""Desk: tells the reconciler what is wanted, and is told what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence

from deepd.daemon.books import Books
from deepd.daemon.keeper import Keeper
from deepd.daemon.news import news_of
from deepd.daemon.records import Record
from deepd.engine.workspace import remove_workspace
from deepd.errors import DeepdError, EngineError, SandboxError
from deepd.model.ids import ContainerId, SessionName
from deepd.model.sandbox import Sandbox, SandboxState
from deepd.model.session import Session
from deepd.reconcile.action import (
    Action,
    Attach,
    Claim,
    Close,
    Create,
    CreateWarm,
    PullImage,
    Remove,
    SetUp,
    Start,
    Stop,
    Update,
    session_key,
    up_lane,
    warm_lane,
)
from deepd.reconcile.facts import Failure, SessionFacts, Setup, WarmFacts, World
from deepd.reconcile.standing import standing
from deepd.reconcile.workspace import abandoned_folders, has_workspace, warm_name

logger = logging.getLogger(__name__)

EARLY = 10.0
"""Seconds; a sandbox that ends by itself sooner has failed to start, so that it is no hot loop."""

_UP = frozenset({SandboxState.RUNNING, SandboxState.PAUSED})


class Desk:
    """What is known of sessions and sandboxes, in the reconciler's words."""

    def __init__(self, books: Books, keeper: Keeper) -> None:
        self._books = books
        self._keeper = keeper
        self._records = books.records
        self._publish = books.publish
        self._warm: dict[ContainerId, Sandbox] = {}
        self._started_at: dict[ContainerId, float] = {}
        self._swept = False

    def settle(self) -> None:
        """Open and close what the profiles declare."""
        profiles = self._books.profiles.all()
        complete = self._books.profiles.is_complete
        wanted = standing(profiles, self._sessions(), complete=complete)
        for name, profile in wanted.opens:
            now = self._books.clock()
            session = Session(name, profile, created_at=now, last_active=now, declared=True)
            with _warned(f"cannot open session {name}"):
                self._books.ledger.put(session)
                self._publish("session_opened", session=name, profile=profile, declared=True)
        for name in wanted.closes:
            with _warned(f"cannot close session {name}"):
                self._books.ledger.change(name, wanted="closed")

    def observed(self, sandboxes: Sequence[Sandbox], touched: frozenset[str]) -> None:
        """Notice what is gone by itself, except that what was `touched` may be different by now."""
        self.settle()
        by_id = {sandbox.id: sandbox for sandbox in sandboxes}
        self._warm = {box.id: box for box in sandboxes if box.session is None}
        for container, record in self._records.all().items():
            if touched.isdisjoint(_keys(container, record)):
                self._compare(container, record, by_id.get(container))
        if not self._swept:
            self._swept = True
            self._sweep(sandboxes)
        self._keeper.bell.ring_all()

    def world(self, images: frozenset[str], failures: Mapping[str, Failure]) -> World:
        """Return what is wanted and known now."""
        for session in self._books.ledger.all():
            if self._keeper.attached_for(session.name) > EARLY:
                self._books.backoff.mended(up_lane(session.name))
        return World(
            profiles=self._books.profiles.all(),
            sessions=self._sessions(),
            warm={container: self._warm_facts(box) for container, box in self._warm.items()},
            images=images,
            failures=failures,
            complete=self._books.profiles.is_complete,
        )

    def facts(self, session: Session) -> SessionFacts:
        """Return what is known of a session."""
        container = self._keeper.attached(session.name)
        record = self._records.get(container) if container else Record()
        return SessionFacts(
            session,
            running=self._books.activity.count(session.name, "running"),
            held=self._books.activity.count(session.name, "held"),
            waiting=self._books.activity.count(session.name, "waiting"),
            attached=container,
            setup=record.setup,
            limits=record.limits,
            workspace_exists=container is None and self._workspace_exists(session),
        )

    def began(self, action: Action) -> None:
        """Let those who wait see it."""
        for name in self._about(action):
            self._keeper.bell.ring(name)

    async def done(self, action: Action, made: ContainerId | None) -> None:
        """Note what is true now, and tell it."""
        self._note(action, made)
        match action:
            case Claim(sandbox=sandbox, session=session, profile=profile):
                self._keeper.claimed(sandbox.id, session.name)
                self._keeper.offer(session.name, profile)
                await asyncio.sleep(0)  # whoever waits for it goes first, then what is to be told
            case Stop(sandbox=sandbox):
                await self._keeper.detach(sandbox)
            case Remove(sandbox=sandbox):
                await self._remove_warm_folder(sandbox)
            case _:
                pass
        if isinstance(action, Create | Claim):
            name, generation = action.session.name, action.session.generation + 1
            self._books.ledger.note(name, generation=generation)
        if news := news_of(action, made):
            self._publish(news.kind, session=news.session, **news.data)
        for name in self._about(action):
            self._keeper.bell.ring(name)

    def _note(self, action: Action, made: ContainerId | None) -> None:
        match action:
            case Create() | CreateWarm() if made:
                self._note_made(action, made)
            case Start(sandbox=sandbox):
                self._started_at[sandbox.id] = self._books.clock()
                self._records.change(sandbox.id, up=True)
            case Attach(sandbox=sandbox) | SetUp(sandbox=sandbox) if sandbox.session:
                self._note_reached(sandbox.session, action)
            case Update(sandbox=sandbox, limits=limits):
                self._records.put(sandbox.id, self._records.get(sandbox.id).with_limits(limits))
            case Stop(sandbox=sandbox, cause=cause) | Remove(sandbox=sandbox, cause=cause):
                self._keeper.gone(sandbox.id, cause)
                self._started_at.pop(sandbox.id, None)
                if isinstance(action, Remove):
                    self._records.forget(sandbox.id)
            case PullImage(profile=profile):
                self._keeper.image_done(profile.image_ref)
            case Close(session=session):
                for callback in self._keeper.hooks.closed:
                    callback(session.name)
            case _:
                pass

    def _note_reached(self, name: SessionName, action: Attach | SetUp) -> None:
        if isinstance(action, SetUp):
            # It may have taken longer than the idle timeout, and nobody could use it meanwhile.
            self._books.ledger.touch(name)
        self._keeper.offer(name, self._books.profile(action.sandbox.profile))

    def _note_made(self, action: Create | CreateWarm, made: ContainerId) -> None:
        name = SessionName("") if isinstance(action, CreateWarm) else action.session.name
        setup: Setup = "" if action.profile.setup else "done"
        record = Record(action.profile.name, name, setup, action.profile.work_dir)
        self._records.put(made, record.with_limits(action.profile.limits))

    def failed(self, action: Action, failure: Failure) -> None:
        """Tell what is not done, once it is more than a hiccup."""
        match action:
            case PullImage(profile=profile):
                self._keeper.image_done(profile.image_ref)
            case Update(sandbox=sandbox, limits=limits) if failure.until is None:
                # The engine will say no again; another edit of the limits asks it again.
                self._records.put(sandbox.id, self._records.get(sandbox.id).with_limits(limits))
            case _:
                pass
        for name in self._about(action):
            self._tell_failure(name, failure)

    def engine_changed(self, error: EngineError | None) -> None:
        """Tell that the engine stopped answering, or answers again."""
        if error:
            self._publish("engine_down", cause=str(error))
        else:
            self._publish("engine_up")
        self._keeper.bell.ring_all()

    def _sessions(self) -> tuple[SessionFacts, ...]:
        return tuple(map(self.facts, self._books.ledger.all()))

    def _compare(self, container: ContainerId, record: Record, seen: Sandbox | None) -> None:
        """Notice which engine has a container, and that it ended, or went, without us."""
        if seen is not None and seen.engine != record.engine:
            self._records.change(container, engine=seen.engine)
        if record.up and (seen is None or seen.state not in _UP):
            cause = _why_it_ended(seen)
            self._publish(
                "sandbox_stopped", session=record.session, container=container, cause=cause
            )
            self._note_early_end(container, record, cause)
            self._keeper.gone(container, cause)
        if seen is None:
            self._records.forget(container)
            self._started_at.pop(container, None)

    def _note_early_end(self, container: ContainerId, record: Record, cause: str) -> None:
        started_at = self._started_at.pop(container, None)
        if started_at is None or self._books.clock() - started_at > EARLY:
            return
        profile = self._books.profile(record.profile)
        failure = self._books.backoff.failed(
            up_lane(record.session) if record.session else warm_lane(record.profile),
            SandboxError(f"the sandbox ended as soon as it had started: {cause}"),
            now=self._books.clock(),
            revision=profile.revision() if profile else "",
            container=container,
        )
        if record.session:
            self._tell_failure(record.session, failure)

    def _tell_failure(self, name: SessionName, failure: Failure) -> None:
        if failure.until is None or failure.attempts == 3:
            self._publish("session_failed", session=name, cause=str(failure.error))
        self._keeper.bell.ring(name)

    async def _remove_warm_folder(self, sandbox: Sandbox) -> None:
        profile = self._books.profile(sandbox.profile)
        if sandbox.session is None and sandbox.warm_id and profile and has_workspace(profile):
            root, name = profile.workspace_root, warm_name(sandbox.warm_id)
            with _warned(f"cannot remove {root / name}"):
                await asyncio.to_thread(remove_workspace, root, name)

    def _sweep(self, sandboxes: Sequence[Sandbox]) -> None:
        """Remove warm folders that a killed daemon made and never used."""
        in_use = frozenset(box.warm_id for box in sandboxes)
        for profile in self._books.profiles.all().values():
            root = profile.workspace_root
            for name in abandoned_folders(root, self._books.instance, in_use):
                with _warned(f"cannot remove {root / name}"):
                    remove_workspace(root, name)

    def _warm_facts(self, sandbox: Sandbox) -> WarmFacts:
        record = self._records.get(sandbox.id)
        profile = self._books.profile(sandbox.profile)
        is_there = True
        if profile and has_workspace(profile):
            is_there = (profile.workspace_root / warm_name(sandbox.warm_id)).exists()
        # One that was claimed after the last look is not to be had any more.
        is_free = self._keeper.holds(sandbox.id) and not record.session
        return WarmFacts(is_free, record.setup, is_there)

    def _workspace_exists(self, session: Session) -> bool:
        profile = self._books.profile(session.profile)
        return profile is not None and (profile.workspace_root / session.name).exists()

    def _about(self, action: Action) -> list[SessionName]:
        """Return the sessions that an action matters to."""
        match action:
            case Create(session=session) | Claim(session=session) | Close(session=session):
                return [session.name]
            case PullImage(profile=profile):
                every = self._books.ledger.all()
                return [session.name for session in every if session.profile == profile.name]
            case CreateWarm():
                return []
            case _:
                return [action.sandbox.session] if action.sandbox.session else []


def _why_it_ended(seen: Sandbox | None) -> str:
    """Return the cause in words; what is half removed is shown by the engine as broken."""
    if seen is None or seen.state is SandboxState.BROKEN:
        return "it was removed by somebody else"
    return "it was stopped" if seen.exit_code is None else f"exited with {seen.exit_code}"


def _keys(container: ContainerId, record: Record) -> frozenset[str]:
    owner = session_key(record.session) if record.session else warm_lane(record.profile)
    return frozenset({f"container {container}", owner})


@contextlib.contextmanager
def _warned(what: str) -> Iterator[None]:
    """Log what could not be done and go on: the next look tries again."""
    try:
        yield
    except (DeepdError, OSError) as error:
        logger.warning("%s: %s", what, error)
