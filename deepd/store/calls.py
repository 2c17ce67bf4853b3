"""The table of calls: each step of a call's life is a compare-and-set here."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import fields
from operator import attrgetter
from typing import Any

from deepd.errors import ConflictError
from deepd.model.call import NEXT, OPEN, Call, CallState
from deepd.model.ids import CallId, SessionName
from deepd.store.database import Database
from deepd.store.text import from_text, to_text

_FIELDS = tuple(field.name for field in fields(Call))
_COLUMNS = ", ".join(_FIELDS)
_MARKS = ", ".join("?" * len(_FIELDS))
_INSERT = f"INSERT INTO calls ({_COLUMNS}) VALUES ({_MARKS})"  # noqa: S608 - constant names
_SELECT = f"SELECT {_COLUMNS} FROM calls"  # noqa: S608 - constant names
_JSON = ("args", "result")
_JSON_PLACES = tuple(map(_FIELDS.index, _JSON))
_BOOLEAN_PLACES = tuple(map(_FIELDS.index, ("background", "truncated")))
_STATE_PLACE = _FIELDS.index("state")
_values = attrgetter(*_FIELDS)


class CallTable(Database):
    """Calls by id, and by the key that their caller gave."""

    def insert_call(self, call: Call) -> None:
        """Insert a call; its idempotency key in use is `ConflictError`."""
        values = list(_values(call))
        for place in _JSON_PLACES:
            values[place] = to_text(values[place]) if values[place] else "{}"
        with self.write():
            try:
                self._execute(_INSERT, values)
            except sqlite3.IntegrityError as error:
                raise ConflictError(f"call {call.id} is stored already: {error}") from error

    def call(self, call_id: CallId) -> Call | None:
        """Return a call, or `None`."""
        row = self._one(f"{_SELECT} WHERE id = ?", (call_id,))
        return _call(row) if row else None

    def find_calls(self, prefix: str) -> list[Call]:
        """Return the first two calls whose id begins with a prefix: one means it is unique."""
        rows = self._all(
            f"{_SELECT} WHERE id >= ? AND id < ? ORDER BY id LIMIT 2", (prefix, prefix + "g")
        )
        return [_call(row) for row in rows]

    def calls(
        self,
        session: SessionName | None = None,
        states: Collection[CallState] | None = None,
        limit: int = 100,
    ) -> list[Call]:
        """Return calls, newest first."""
        wheres: list[str] = []
        values: list[Any] = []
        if states is not None:
            wheres.append(f"state IN ({', '.join('?' * len(states))})")
            values += states
            if OPEN.issuperset(states):
                wheres.append("ended_at IS NULL")  # lets SQLite take the small index
        if session is not None:
            wheres.append("session = ?")
            values.append(session)
        where = f" WHERE {' AND '.join(wheres)}" if wheres else ""
        rows = self._all(f"{_SELECT}{where} ORDER BY number DESC LIMIT ?", (*values, limit))
        return [_call(row) for row in rows]

    def calls_before(
        self, number: int | None, limit: int, *, session: str = "", profile: str = ""
    ) -> list[tuple[int, Call]]:
        """Return a page of calls with their numbers, the newest first, from below a number on."""
        wheres = ["? IS NULL OR number < ?"]
        values: list[Any] = [number, number]
        for name, wanted in (("session", session), ("profile", profile)):
            if wanted:
                wheres.append(f"{name} = ?")
                values.append(wanted)
        where = " AND ".join(f"({each})" for each in wheres)
        rows = self._all(
            f"SELECT number, {_COLUMNS} FROM calls WHERE {where} ORDER BY number DESC LIMIT ?",  # noqa: S608 - field names
            (*values, limit),
        )
        return [(row[0], _call(row[1:])) for row in rows]

    def call_by_key(self, session: SessionName, idempotency_key: str) -> Call | None:
        """Return the call that was made with a key in a session."""
        row = self._one(
            f"{_SELECT} WHERE session = ? AND idempotency_key = ? AND idempotency_key <> ''",
            (session, idempotency_key),
        )
        return _call(row) if row else None

    def move(self, call_id: CallId, from_: CallState, to: CallState, **changed: Any) -> bool:
        """Move a call from one state to the next, with what changes; `False`: it was elsewhere."""
        if to not in NEXT.get(from_, ()):
            raise ValueError(f"a call never goes from {from_} to {to}")
        return self._update(call_id, from_, {"state": to, **changed})

    def change_call(self, call_id: CallId, in_: CallState, **changed: Any) -> bool:
        """Change a call that stays in its state; `False`: it was in another."""
        return self._update(call_id, in_, changed)

    def _update(self, call_id: CallId, in_: CallState, changed: dict[str, Any]) -> bool:
        names = ", ".join(f"{name} = ?" for name in changed)
        values = [_stored(name, value) for name, value in changed.items()]
        with self.write():
            cursor = self._execute(
                f"UPDATE calls SET {names} WHERE id = ? AND state = ?",  # noqa: S608 - field names
                (*values, call_id, in_),
            )
            return cursor.rowcount == 1


def _stored(name: str, value: Any) -> Any:
    return to_text(value) if name in _JSON else value


def _call(row: tuple[Any, ...]) -> Call:
    values = list(row)
    for place in _JSON_PLACES:
        values[place] = from_text(values[place])
    for place in _BOOLEAN_PLACES:
        values[place] = bool(values[place])
    values[_STATE_PLACE] = CallState(values[_STATE_PLACE])
    return Call(*values)
