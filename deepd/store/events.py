"""The table of events, numbered without gaps."""

from __future__ import annotations

from typing import Any

from deepd.model.event import Event, EventKind
from deepd.store.database import Database
from deepd.store.text import from_text, to_text

_SELECT = "SELECT id, at, kind, session, call, data FROM events"


class EventTable(Database):
    """Events by number."""

    _last_event: int | None = None

    def append_event(
        self, at: float, kind: EventKind, session: str, call: str, data: dict[str, Any]
    ) -> Event:
        """Store a fact under the next number."""
        with self.write():
            number = self.last_event_id() + 1
            self._execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
                (number, at, kind, session, call, to_text(data)),
            )
            self._last_event = number
        return Event(number, at, kind, session, call, data)

    def events(self, after: int, limit: int = 1000, *, session: str = "") -> list[Event]:
        """Return the events after a number, oldest first; of one session where one is named."""
        if session:
            rows = self._all(
                f"{_SELECT} WHERE session = ? AND id > ? ORDER BY id LIMIT ?",
                (session, after, limit),
            )
        else:
            rows = self._all(f"{_SELECT} WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [
            Event(number, at, kind, of, call, from_text(data))
            for number, at, kind, of, call, data in rows
        ]

    def last_event_id(self) -> int:
        """Return the newest number, 0 before the first."""
        if self._last_event is None:
            row = self._one("SELECT max(id) FROM events")
            self._last_event = (row and row[0]) or 0
        return self._last_event

    def first_event_id(self) -> int:
        """Return the oldest number that is kept, 0 when there is none."""
        row = self._one("SELECT min(id) FROM events")
        return (row and row[0]) or 0

    def _forget(self) -> None:
        super()._forget()
        self._last_event = None
