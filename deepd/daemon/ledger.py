"""Ledger: the sessions, in memory for the loop and in the store for the next start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from deepd.errors import LimitError, NotFoundError
from deepd.model.ids import SessionName
from deepd.model.session import Session

logger = logging.getLogger(__name__)

WRITE_AFTER = 1.0
"""Seconds after which a touched session is written: a call's answer does not wait for that, and a
killed daemon at worst takes a session for idle a second too early."""


class SessionTable(Protocol):
    """The store, as far as it is needed here."""

    def sessions(self) -> list[Session]: ...

    def put_session(self, session: Session) -> None: ...

    def delete_session(self, name: SessionName) -> None: ...


class Ledger:
    """Every session by name."""

    def __init__(self, table: SessionTable, clock: Callable[[], float]) -> None:
        self._table = table
        self._clock = clock
        self._sessions = {session.name: session for session in table.sessions()}
        self._touched: set[SessionName] = set()

    def all(self) -> list[Session]:
        """Return all sessions, by name."""
        return [self._sessions[name] for name in sorted(self._sessions)]

    def find(self, name: SessionName) -> Session | None:
        """Return a session, if there is one of that name."""
        return self._sessions.get(name)

    def get(self, name: SessionName) -> Session:
        """Return a session, or raise `NotFoundError`."""
        if session := self._sessions.get(name):
            return session
        raise NotFoundError(f"no session {name!r}", next_step="`deepd ps` lists them")

    def put(self, session: Session) -> None:
        """Store a session; when that fails nothing has changed."""
        self._table.put_session(session)
        self._sessions[session.name] = session

    def change(self, name: SessionName, **fields: Any) -> None:
        """Store a changed wish; when that fails nothing has changed."""
        self.put(replace(self.get(name), **fields))

    def note(self, name: SessionName, **fields: Any) -> None:
        """Keep what happened to a session, if it is there; a full disk only delays its writing."""
        if session := self._sessions.get(name):
            self._sessions[name] = replace(session, **fields)
            try:
                self._table.put_session(self._sessions[name])
            except LimitError as error:
                logger.warning("cannot write session %s: %s", name, error)

    def touch(self, name: SessionName) -> None:
        """Start the idle clock anew."""
        if session := self._sessions.get(name):
            self._sessions[name] = replace(session, last_active=self._clock())
            if not self._touched:
                asyncio.get_running_loop().call_later(WRITE_AFTER, self.write_touched)
            self._touched.add(name)

    def write_touched(self) -> None:
        """Write what was only touched in memory yet."""
        touched, self._touched = self._touched, set()
        for name in touched:
            self.note(name)

    def delete(self, name: SessionName) -> None:
        """Forget a session."""
        self._table.delete_session(name)
        self._sessions.pop(name, None)
