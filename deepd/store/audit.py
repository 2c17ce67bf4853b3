"""The audit trail: what was asked, decided and run, each row chained to the one before by hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deepd.store.database import Database
from deepd.store.text import to_canonical_text, to_text

_START = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One link of the chain."""

    id: int
    at: float
    kind: str
    call: str
    body: str
    """JSON, exactly as it was hashed."""
    prev_hash: str
    hash: str

    def is_sound(self) -> bool:
        """Whether the row is still what was hashed."""
        return self.hash == _digest(
            self.prev_hash, self.id, self.at, self.kind, self.call, self.body
        )


class AuditTable(Database):
    """Rows that are only ever appended."""

    _tail: tuple[int, str] | None = None

    def append_audit(self, at: float, kind: str, call: str, body: dict[str, Any]) -> None:
        """Append one row to the chain."""
        text = to_canonical_text(body)
        with self.write():
            number, previous = self._audit_tail()
            digest = _digest(previous, number + 1, at, kind, call, text)
            self._execute(
                "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number + 1, at, kind, call, text, previous, digest),
            )
            self._tail = (number + 1, digest)

    def audit(self, after: int = 0, limit: int = 1000) -> list[AuditRow]:
        """Return rows in their order."""
        rows = self._all(
            "SELECT id, at, kind, call, body, prev_hash, hash FROM audit "
            "WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit),
        )
        return [AuditRow(*row) for row in rows]

    def broken_audit_row(self) -> int | None:
        """Return the number of the first row that was changed, or that misses the one before it."""
        expected: tuple[int, str] | None = None
        for row in self._all_audit():
            follows = expected is None or (row.id, row.prev_hash) == expected
            if not follows or not row.is_sound() or (row.id == 1 and row.prev_hash != _START):
                return row.id
            expected = (row.id + 1, row.hash)
        return None

    def _all_audit(self) -> Iterator[AuditRow]:
        after = 0
        while rows := self.audit(after):
            yield from rows
            after = rows[-1].id

    def _audit_tail(self) -> tuple[int, str]:
        if self._tail is None:
            row = self._one("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")
            self._tail = (row[0], row[1]) if row else (0, _START)
        return self._tail

    def _forget(self) -> None:
        super()._forget()
        self._tail = None


def _digest(previous: str, number: int, at: float, kind: str, call: str, body: str) -> str:
    text = to_text([previous, number, at, kind, call, body])
    return hashlib.sha256(text.encode()).hexdigest()
