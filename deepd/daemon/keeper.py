"""Keeper: holds the sandboxes that are attached, gives them to callers, and lets go of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deepd.daemon.bell import Bell
from deepd.daemon.books import Books
from deepd.daemon.live import Live, Roster
from deepd.daemon.setup import run_setup
from deepd.engine.base import Engine
from deepd.engine.workspace import remove_workspace
from deepd.errors import DeepdError, SandboxError
from deepd.model.ids import ContainerId, SessionName
from deepd.model.profile import Profile
from deepd.model.sandbox import Sandbox
from deepd.model.session import Session
from deepd.reconcile.action import up_lane
from deepd.reconcile.facts import SetupError
from deepd.reconcile.workspace import has_workspace

logger = logging.getLogger(__name__)

SHORT = 1.0
"""Seconds; a stream that ends sooner, and again, counts as a failed attach."""

LEASE = 3600.0
"""The lease of a sandbox whose profile is gone."""

LEAST_LEASE = 60.0
"""A guest whose lease is not well above the time between two pings would end under its owner."""

PROGRESS_EVERY = 0.5


@dataclass(slots=True)
class Hooks:
    """Who wants to know of sandboxes and sessions."""

    attached: list[Callable[[SessionName, Live], None]] = field(default_factory=list)
    gone: list[Callable[[SessionName, ContainerId, str], None]] = field(default_factory=list)
    closed: list[Callable[[SessionName], None]] = field(default_factory=list)


class Keeper:
    """The executor's hands inside of sandboxes, and what it holds in them."""

    def __init__(
        self,
        engine: Engine,
        owners: Path,
        books: Books,
    ) -> None:
        self._books = books
        self._records = books.records
        self._publish = books.publish
        self.hooks = Hooks()
        self.bell = Bell()
        self.wake: Callable[[], None] = lambda: None
        self.images: dict[str, tuple[str, float | None]] = {}
        """Pulls and builds under way: what is being done and how much of it is done."""
        self._told_at: dict[str, float] = {}
        self._roster = Roster(engine, owners, self._ended)
        self._attached: dict[SessionName, ContainerId] = {}
        self._attached_at: dict[ContainerId, float] = {}
        self._offered: dict[SessionName, Live] = {}
        self._announced: set[str] = set()
        self._leases: dict[ContainerId, float | None] = {}

    def attached(self, name: SessionName) -> ContainerId | None:
        """Return the container of a session whose stream is open."""
        container = self._attached.get(name)
        return container if self._roster.get(container) else None

    def attached_for(self, name: SessionName) -> float:
        """Return for how many seconds its stream is open."""
        container = self.attached(name)
        return time.monotonic() - self._attached_at[container] if container else 0.0

    def holds(self, container: ContainerId) -> bool:
        """Tell whether a container's stream is open."""
        return self._roster.get(container) is not None

    def offered(self, name: SessionName) -> Live | None:
        """Return the sandbox of a session that is ready for calls."""
        live = self._offered.get(name)
        return None if live is None or live.guest.closed else live

    async def attach(self, sandbox: Sandbox) -> None:
        """Open the guest's stream and keep it."""
        profile = self._books.profile(sandbox.profile)
        wanted = profile.work_dir if profile else self._records.get(sandbox.id).work_dir
        work_dir = sandbox.work_dir or wanted
        lease = _lease(profile)
        await self._roster.attach(sandbox, work_dir, lease)
        self._leases[sandbox.id] = lease
        self._hold_back(sandbox)
        self._attached_at[sandbox.id] = time.monotonic()
        self._records.change(
            sandbox.id,
            up=True,
            profile=sandbox.profile,
            session=sandbox.session or "",
            work_dir=work_dir,
        )
        if sandbox.session:
            self._attached[sandbox.session] = sandbox.id

    async def set_up(self, sandbox: Sandbox, profile: Profile) -> None:
        """Run the setup commands; what they have done so far decides whether they may run again."""
        live = self._roster.get(sandbox.id)
        if live is None:
            raise SandboxError(f"the stream to {sandbox.name} ended before its setup")
        self._records.change(sandbox.id, setup="begun")
        try:
            printed = await run_setup(live, profile)
        except SetupError:
            self._records.change(sandbox.id, setup="failed")
            raise
        self._records.change(sandbox.id, setup="done")
        logger.info("setup of %s: %s", sandbox.name, printed)

    async def detach(self, sandbox: Sandbox) -> None:
        """Let go of the stream, if there is one."""
        await self._roster.detach(sandbox.id)

    async def close(self, session: Session) -> None:
        """Forget a session that has no container, with its workspace when it is purged."""
        profile = self._books.profile(session.profile)
        if session.wanted == "purged" and profile and has_workspace(profile):
            root = profile.workspace_root
            await asyncio.to_thread(remove_workspace, root, session.name)
        self._books.ledger.delete(session.name)
        self._books.backoff.mended(up_lane(session.name))

    def progress(self, image: str, text: str, done: float | None) -> None:
        """Be told how a pull or build goes on; told on at a bearable rate."""
        self.images[image] = text, done
        now = time.monotonic()
        if now - self._told_at.get(image, -PROGRESS_EVERY) >= PROGRESS_EVERY:
            self._told_at[image] = now
            self._publish("image_progress", image=image, text=text, done=done)

    def image_done(self, image: str) -> None:
        """Note that a pull or build is over."""
        self.images.pop(image, None)
        self._told_at.pop(image, None)

    def offer(self, name: SessionName, profile: Profile | None) -> None:
        """Give a session's sandbox to its callers, if it is ready; calls that wait come first."""
        live = self._roster.get(self._attached.get(name))
        if live is None or self._offered.get(name) is live:
            return
        if profile and profile.setup and self._records.get(live.container).setup != "done":
            return
        self._offered[name] = live
        for callback in self.hooks.attached:
            callback(name, live)
        if live.guest.info.boot not in self._announced:
            self._announced.add(live.guest.info.boot)
            warnings = list(live.guest.info.warnings[:8])
            self._publish(
                "sandbox_ready", session=name, container=live.container, warnings=warnings
            )
        self.bell.ring(name)

    def claimed(self, container: ContainerId, name: SessionName) -> None:
        """Note that a warm sandbox, with its stream, is a session's from now on."""
        self._records.change(container, session=name)
        self._attached[name] = container

    def gone(self, container: ContainerId, cause: str) -> None:
        """Note that a container does not run any more, and tell whose calls were in it."""
        record = self._records.get(container)
        name = record.session
        if self._attached.get(name) == container:
            del self._attached[name]
        if (live := self._offered.get(name)) and live.container == container:
            del self._offered[name]
            self._announced.discard(live.guest.info.boot)
        self._attached_at.pop(container, None)
        self._leases.pop(container, None)
        if not record.up:
            return
        self._records.change(container, up=False)
        if name:
            for callback in self.hooks.gone:
                callback(name, container, cause)
            self.bell.ring(name)

    async def renew_leases(self) -> None:
        """Have every guest know its profile's idle timeout of now."""
        for live in self._roster.all():
            profile = self._books.profile(self._records.get(live.container).profile)
            if profile and self._leases.get(live.container) != _lease(profile):
                self._leases[live.container] = _lease(profile)
                try:
                    await live.guest.set_lease(_lease(profile))
                except DeepdError as error:
                    logger.debug("the lease of %s: %s", live.container, error)

    async def aclose(self) -> None:
        """Let go of every sandbox; they go on."""
        await self._roster.aclose()

    def _ended(self, container: ContainerId) -> None:
        """A stream ended, which says nothing of the container: the next look will."""
        name = self._records.get(container).session
        if name:
            self.bell.ring(name)
        self.wake()

    def _hold_back(self, sandbox: Sandbox) -> None:
        """Make a stream that ends again and again be opened less and less often."""
        last = self._attached_at.get(sandbox.id)
        if sandbox.session and last is not None and time.monotonic() - last < SHORT:
            self._books.backoff.failed(
                up_lane(sandbox.session),
                SandboxError(f"the stream to {sandbox.session} ends again and again"),
                now=self._books.clock(),
                container=sandbox.id,
            )


def _lease(profile: Profile | None) -> float | None:
    """Return after how long without owner and work a guest ends by itself; `None` is never."""
    if profile is None:
        return LEASE
    return None if profile.idle_timeout is None else max(profile.idle_timeout, LEAST_LEASE)
