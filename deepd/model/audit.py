"""AuditRow: one link of the audit trail, and the check of a whole chain of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

START = "0" * 64
"""What stands for the row before the first."""

_text = json.JSONEncoder(separators=(",", ":")).encode


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
        return self.hash == digest(
            self.prev_hash, self.id, self.at, self.kind, self.call, self.body
        )


@dataclass(frozen=True, slots=True)
class Break:
    """The first place at which a chain does not hold."""

    row: int
    what: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What came of a check."""

    rows: int
    first: AuditRow | None
    last: AuditRow | None
    """The last row that holds."""
    broken: Break | None


def digest(previous: str, number: int, at: float, kind: str, call: str, body: str) -> str:
    """Return the hash of a row; it covers the hash of the one before."""
    text = _text([previous, number, at, kind, call, body])
    return hashlib.sha256(text.encode()).hexdigest()


def check_chain(rows: Iterable[AuditRow]) -> ChainReport:
    """Follow the chain to its end, or to the first row that was changed or is missing.

    Rows before the first one may have been forgotten in time: a chain may begin anywhere.
    """
    first: AuditRow | None = None
    last: AuditRow | None = None
    count = 0
    for row in rows:
        if what := _fault(row, last):
            return ChainReport(count, first, last, Break(row.id, what))
        first, last, count = first or row, row, count + 1
    return ChainReport(count, first, last, None)


def _fault(row: AuditRow, before: AuditRow | None) -> str:
    if before is not None and row.id != before.id + 1:
        missing = before.id + 1
        gone = (
            f"row {missing} is" if row.id == missing + 1 else f"rows {missing} to {row.id - 1} are"
        )
        return f"{gone} missing before it"
    expected = before.hash if before else (START if row.id == 1 else row.prev_hash)
    if row.prev_hash != expected:
        return "it does not follow the row before it: one of the two was replaced"
    return "" if row.is_sound() else "it was changed after it was written"
