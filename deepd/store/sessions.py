"""The table of sessions."""

from __future__ import annotations

from typing import Any

from deepd.model.ids import SessionName
from deepd.model.session import Session
from deepd.store.database import Database

_COLUMNS = "name, profile, wanted, created_at, last_active, generation, declared"

_SELECT = f"SELECT {_COLUMNS} FROM sessions ORDER BY name"  # noqa: S608 - constant names
_PUT = f"INSERT OR REPLACE INTO sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - the same


class SessionTable(Database):
    """Sessions by name."""

    def sessions(self) -> list[Session]:
        """Return all sessions, by name."""
        return [_session(row) for row in self._all(_SELECT)]

    def put_session(self, session: Session) -> None:
        """Insert a session or replace the one of its name."""
        with self.write():
            self._execute(
                _PUT,
                (
                    session.name,
                    session.profile,
                    session.wanted,
                    session.created_at,
                    session.last_active,
                    session.generation,
                    session.declared,
                ),
            )

    def delete_session(self, name: SessionName) -> None:
        """Forget a session; its calls and events stay until they are pruned."""
        with self.write():
            self._execute("DELETE FROM sessions WHERE name = ?", (name,))


def _session(row: tuple[Any, ...]) -> Session:
    name, profile, wanted, created_at, last_active, generation, declared = row
    return Session(name, profile, wanted, created_at, last_active, generation, bool(declared))
