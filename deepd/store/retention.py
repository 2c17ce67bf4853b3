"""What is kept, and the pruning of what is not any more."""

from __future__ import annotations

from dataclasses import dataclass

from deepd.model.ids import CallId
from deepd.store.outputs import OutputTable

_BATCH = 50
"""Rows in one transaction: nobody waits longer than about 5 ms behind a pruning."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of what is over is kept."""

    calls: int = 10_000
    age: float = 30 * 86400.0
    output_bytes: int = 1 << 30
    events: int = 100_000
    audit: int = 1_000_000


class RetentionTable(OutputTable):
    """Forgets the oldest that is over, never what is open."""

    def prune(self, keep: Retention, now: float) -> int:
        """Forget one batch; return how many rows went, 0 once there is nothing to forget."""
        calls = self._prunable_calls(keep, now)
        with self.write():
            for call_id in calls:
                for sql in _FORGET_CALL:
                    self._execute(sql, (call_id,))
            gone = len(calls)
            gone += self._execute(
                "DELETE FROM grants WHERE ended_at < ?", (now - keep.age,)
            ).rowcount
            for table, limit in (("events", keep.events), ("audit", keep.audit)):
                gone += self._execute(
                    f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE id <= "  # noqa: S608 - constant names
                    f"(SELECT max(id) FROM {table}) - ? ORDER BY id LIMIT ?)",
                    (limit, _BATCH),
                ).rowcount
            # To add all sizes up takes longer than a batch: only once the calls are done.
            outputs = [] if calls else self._prunable_outputs(keep.output_bytes)
            for call_id in outputs:
                self._execute("DELETE FROM outputs WHERE call = ?", (call_id,))
        for call_id in (*calls, *outputs):
            self.spool.remove(call_id)
        return gone + len(outputs)

    def remove_strays(self) -> int:
        """Remove files of the spool that no call needs, such as a killed daemon may leave."""
        strays = [
            call_id
            for call_id in self.spool.ids()
            if not self._one("SELECT 1 FROM calls WHERE id = ?", (call_id,))
        ]
        for call_id in strays:
            self.spool.remove(call_id)
        return len(strays)

    def _prunable_calls(self, keep: Retention, now: float) -> list[CallId]:
        rows = self._all(
            "SELECT id FROM calls WHERE ended_at IS NOT NULL AND "
            "(ended_at < ? OR number <= (SELECT max(number) FROM calls) - ?) "
            "ORDER BY number LIMIT ?",
            (now - keep.age, keep.calls, _BATCH),
        )
        return [row[0] for row in rows]

    def _prunable_outputs(self, limit: int) -> list[CallId]:
        row = self._one("SELECT coalesce(sum(size), 0) FROM outputs")
        excess = (row[0] if row else 0) - limit
        found: list[CallId] = []
        if excess <= 0:
            return found
        for call_id, size in self._all(
            "SELECT call, size FROM outputs ORDER BY rowid LIMIT ?", (_BATCH,)
        ):
            if excess <= 0:
                break
            excess -= size
            found.append(call_id)
        return found


_FORGET_CALL = (
    "DELETE FROM calls WHERE id = ?",
    "DELETE FROM approvals WHERE id = ?",
    "DELETE FROM outputs WHERE call = ?",
    "DELETE FROM bodies WHERE call = ?",
)
