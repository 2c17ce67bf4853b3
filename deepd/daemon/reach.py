"""Reach: waits until a session's sandbox is ready, or raises why it will not be."""

from __future__ import annotations

import asyncio
import copy

from deepd.daemon.books import Books
from deepd.daemon.keeper import Keeper
from deepd.daemon.live import Live
from deepd.daemon.views import Views
from deepd.errors import (
    ConflictError,
    DeepdError,
    EngineDownError,
    EngineTimeoutError,
    NotFoundError,
    SandboxStopped,
)
from deepd.model.ids import SessionName
from deepd.model.session import Session
from deepd.reconcile.reconciler import Reconciler

PATIENCE = 3.0
"""Seconds that a caller waits for an engine that is down before being told so."""


class Reach:
    """The way of a caller to a sandbox."""

    def __init__(self, books: Books, keeper: Keeper, views: Views, reconciler: Reconciler) -> None:
        self._books = books
        self._keeper = keeper
        self._views = views
        self._reconciler = reconciler

    async def ready(self, name: SessionName, within: float) -> Live:
        """Want it to run and wait for its sandbox."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        with self._books.activity.during(name, "waiting"):
            is_first = True
            while True:
                self._check_wanted(name)
                if live := self._views.live(self._books.ledger.get(name)):
                    return live
                waited = loop.time() - began
                self._check_hope(name, waited, within)
                if is_first:
                    self._reconciler.glance()
                    is_first = False
                patience = PATIENCE if waited < PATIENCE else within
                await self._keeper.bell.wait(name, min(patience, within) - waited)

    def _check_wanted(self, name: SessionName) -> None:
        session = self._books.ledger.get(name)
        check_open(session)
        if session.wanted == "stopped":
            raise SandboxStopped(
                f"{name} was stopped on purpose", next_step=f"start it: `deepd start {name}`"
            )
        if session.wanted == "paused":
            raise SandboxStopped(f"{name} is paused", next_step=f"`deepd resume {name}`")
        if session.profile not in self._books.profiles.all():
            raise NotFoundError(
                f"the profile {session.profile} of session {name} is not loaded",
                next_step="`deepd status` shows the profiles and what is wrong with them",
            )

    def _check_hope(self, name: SessionName, waited: float, within: float) -> None:
        """Raise what waiting longer would not change."""
        failure = self._views.failure(self._books.ledger.get(name))
        if failure and failure.until is None:
            raise again(failure.error)
        if (down := self._reconciler.down) and waited >= min(PATIENCE, within):
            if isinstance(down, EngineDownError):
                raise again(down)
            raise EngineDownError(down.detail, next_step=down.next_step)
        if waited >= within:
            if failure:
                raise again(failure.error)
            state = self._views.of(self._books.ledger.get(name)).state
            raise EngineTimeoutError(
                f"{name} was not ready within {within:g} s: it is {state}",
                next_step=f"look at it with `deepd inspect {name}`; it goes on meanwhile",
            )


def check_open(session: Session) -> None:
    """Refuse a session that is going away."""
    if session.wanted in {"closed", "purged"}:
        raise ConflictError(
            f"session {session.name} is being removed", next_step="try again when it is gone"
        )


def again(error: DeepdError) -> DeepdError:
    """Return a copy to raise: one error raised to many would gather all their tracebacks."""
    return copy.copy(error)
