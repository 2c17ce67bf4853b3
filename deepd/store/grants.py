"""The table of grants: what is remembered, and how much of it is left."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from deepd.model.grant import Grant
from deepd.model.ids import GrantId, ProfileName
from deepd.store.database import Database
from deepd.store.text import from_text, to_text

_FIELDS = tuple(field.name for field in fields(Grant))
_COLUMNS = ", ".join(_FIELDS)
_MARKS = ", ".join("?" * len(_FIELDS))
_SELECT = f"SELECT {_COLUMNS} FROM grants"  # noqa: S608 - constant names
_INSERT = f"INSERT INTO grants ({_COLUMNS}) VALUES ({_MARKS})"  # noqa: S608 - the same
_JSON = {"args", "context"}


class GrantTable(Database):
    """Grants by id; one that ended is never used again."""

    def insert_grant(self, grant: Grant) -> None:
        """Insert a grant."""
        values = [getattr(grant, name) for name in _FIELDS]
        values = [
            to_text(value) if name in _JSON else value
            for name, value in zip(_FIELDS, values, strict=True)
        ]
        with self.write():
            self._execute(_INSERT, values)

    def grants(self, *, ended: bool = False, limit: int = 10_000) -> list[Grant]:
        """Return the grants that did not end, or all of them; the newest first."""
        where = "" if ended else " WHERE ended_at IS NULL"
        rows = self._all(f"{_SELECT}{where} ORDER BY number DESC LIMIT ?", (limit,))
        return [_grant(row) for row in rows]

    def grants_for(self, profile: ProfileName, tool: str) -> list[Grant]:
        """Return the grants that did not end and that may be about a call; the newest first."""
        rows = self._all(
            f"{_SELECT} WHERE profile = ? AND tool = ? AND ended_at IS NULL ORDER BY number DESC",
            (profile, tool),
        )
        return [_grant(row) for row in rows]

    def grant(self, grant_id: GrantId) -> Grant | None:
        """Return a grant, or `None`."""
        row = self._one(f"{_SELECT} WHERE id = ?", (grant_id,))
        return _grant(row) if row else None

    def find_grants(self, prefix: str) -> list[Grant]:
        """Return the first two grants whose id begins with a prefix."""
        rows = self._all(
            f"{_SELECT} WHERE id >= ? AND id < ? ORDER BY id LIMIT 2", (prefix, prefix + "g")
        )
        return [_grant(row) for row in rows]

    def use_grant(self, grant_id: GrantId, at: float) -> bool:
        """Count one use; `False`: it ended, or is used up."""
        with self.write():
            cursor = self._execute(
                "UPDATE grants SET used = used + 1, last_used_at = ? WHERE id = ? "
                "AND ended_at IS NULL AND (count IS NULL OR used < count) "
                "AND (until IS NULL OR until > ?)",
                (at, grant_id, at),
            )
            return cursor.rowcount == 1

    def end_grant(self, grant_id: GrantId, at: float, by: str) -> bool:
        """End a grant for good; `False`: it ended before."""
        with self.write():
            cursor = self._execute(
                "UPDATE grants SET ended_at = ?, ended_by = ? WHERE id = ? AND ended_at IS NULL",
                (at, by, grant_id),
            )
            return cursor.rowcount == 1


def _grant(row: tuple[Any, ...]) -> Grant:
    values = dict(zip(_FIELDS, row, strict=True))
    for name in _JSON:
        values[name] = from_text(values[name])
    return Grant(**values)
