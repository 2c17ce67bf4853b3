"""The audit trail: what was asked, decided and run, each row chained to the one before by hash."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from deepd.errors import NotFoundError
from deepd.model.audit import START, AuditRow, check_chain, digest
from deepd.store.database import Database, translate
from deepd.store.text import to_canonical_text

_SELECT = "SELECT id, at, kind, call, body, prev_hash, hash FROM audit"


class AuditTable(Database):
    """Rows that are only ever appended."""

    _tail: tuple[int, str] | None = None

    def append_audit(self, at: float, kind: str, call: str, body: dict[str, Any]) -> None:
        """Append one row to the chain."""
        text = to_canonical_text(body)
        with self.write():
            number, previous = self._audit_tail()
            hashed = digest(previous, number + 1, at, kind, call, text)
            self._execute(
                "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number + 1, at, kind, call, text, previous, hashed),
            )
            self._tail = (number + 1, hashed)

    def audit(self, after: int = 0, limit: int = 1000) -> list[AuditRow]:
        """Return rows in their order."""
        rows = self._all(f"{_SELECT} WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [AuditRow(*row) for row in rows]

    def audit_head(self) -> int:
        """Return the number of the newest row, 0 before the first."""
        return self._audit_tail()[0]

    def broken_audit_row(self) -> int | None:
        """Return the number of the first row that was changed, or that misses the one before it."""
        broken = check_chain(self._all_audit()).broken
        return broken.row if broken else None

    def _all_audit(self) -> Iterator[AuditRow]:
        after = 0
        while rows := self.audit(after):
            yield from rows
            after = rows[-1].id

    def _audit_tail(self) -> tuple[int, str]:
        if self._tail is None:
            row = self._one("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")
            self._tail = (row[0], row[1]) if row else (0, START)
        return self._tail

    def _forget(self) -> None:
        super()._forget()
        self._tail = None


def read_audit(folder: Path) -> Iterator[AuditRow]:
    """Yield the trail of a state folder that no daemon has now; nothing is changed in it."""
    path = folder / "deepd.db"
    if not path.exists():
        raise NotFoundError(f"there is no trail: {path} does not exist")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            for row in file.execute(f"{_SELECT} ORDER BY id"):
                yield AuditRow(*row)
    except sqlite3.Error as error:
        raise translate(error, path) from error
