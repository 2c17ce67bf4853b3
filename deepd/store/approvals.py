"""The table of approvals: one decision each, the first one wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal

from deepd.model.approval import Approval, ApprovalState, Approved, Decision
from deepd.model.call import CallState
from deepd.model.ids import CallId
from deepd.store.calls import CallTable
from deepd.store.text import from_text, to_text

_FIELDS = tuple(field.name for field in fields(Approval))
_COLUMNS = ", ".join(_FIELDS)
_MARKS = ", ".join("?" * len(_FIELDS))
_SELECT = f"SELECT {_COLUMNS} FROM approvals"  # noqa: S608 - constant names
_PUT = f"INSERT OR REPLACE INTO approvals ({_COLUMNS}) VALUES ({_MARKS})"  # noqa: S608 - the same
_JSON = {"args", "context", "approved_args"}

_CALL_STATE: dict[str, CallState] = {
    "denied": CallState.DENIED,
    "expired": CallState.EXPIRED,
    "cancelled": CallState.CANCELLED,
}


class ApprovalTable(CallTable):
    """Approvals by the id of the call that they hold; both move in one transaction."""

    def insert_approval(self, approval: Approval) -> None:
        """Insert the approval of a call, or put it in place of the call's former one."""
        values = [_stored(name, getattr(approval, name)) for name in _FIELDS]
        with self.write():
            self._execute(_PUT, values)

    def approval(self, call_id: CallId) -> Approval | None:
        """Return an approval, or `None`."""
        row = self._one(f"{_SELECT} WHERE id = ?", (call_id,))
        return _approval(row) if row else None

    def approvals_of(self, call_ids: Sequence[CallId]) -> dict[CallId, Approval]:
        """Return the approvals of calls, as far as there are any."""
        marks = ", ".join("?" * len(call_ids))
        rows = self._all(f"{_SELECT} WHERE id IN ({marks})", tuple(call_ids))
        return {approval.id: approval for approval in map(_approval, rows)}

    def find_approvals(self, prefix: str) -> list[Approval]:
        """Return the first two approvals whose id begins with a prefix."""
        rows = self._all(
            f"{_SELECT} WHERE id >= ? AND id < ? ORDER BY id LIMIT 2", (prefix, prefix + "g")
        )
        return [_approval(row) for row in rows]

    def approvals(
        self, state: ApprovalState | None = "pending", limit: int = 1000
    ) -> list[Approval]:
        """Return the approvals in a state, or all: what waits longest comes first."""
        if state == "pending":
            where, order = " WHERE state = 'pending'", "number"
        else:
            where, order = " WHERE ? IS NULL OR state = ?", "number DESC"
        values = () if state == "pending" else (state, state)
        rows = self._all(f"{_SELECT}{where} ORDER BY {order} LIMIT ?", (*values, limit))
        return [_approval(row) for row in rows]

    def next_deadline(self) -> float | None:
        """Return when the first pending approval expires."""
        row = self._one("SELECT min(deadline) FROM approvals WHERE state = 'pending'")
        return row[0] if row else None

    def decide(
        self,
        approval: Approval,
        decision: Decision,
        *,
        by: str,
        at: float,
        args: dict[str, Any] | None = None,
        fingerprint: str = "",
    ) -> bool:
        """Take a decision if nobody did: `args` is what shall run. `False`: somebody was first.

        The approval must still be the one that was shown, by its fingerprint, and the call must
        still be held; both rows move together and the decision survives a power cut.
        """
        if isinstance(decision, Approved):
            with self.write(durable=True):
                decided = self._decide_row(approval, "approved", by, at, "")
                if decided:
                    self._execute(
                        "UPDATE approvals SET approved_args = ?, approved_fingerprint = ? "
                        "WHERE id = ?",
                        (to_text(args), fingerprint, approval.id),
                    )
                    self._must_move(approval, CallState.APPROVED, args=args)
            return decided
        return self.end_approval(approval, "denied", by=by, at=at, reason=decision.reason)

    def end_approval(
        self,
        approval: Approval,
        state: Literal["denied", "expired", "cancelled"],
        *,
        by: str,
        at: float,
        reason: str,
    ) -> bool:
        """End a pending approval and its call without running it; `False`: it was decided."""
        with self.write(durable=True):
            ended = self._decide_row(approval, state, by, at, reason)
            if ended:
                self._must_move(approval, _CALL_STATE[state], reason=reason, ended_at=at)
        return ended

    def _decide_row(
        self, approval: Approval, state: ApprovalState, by: str, at: float, reason: str
    ) -> bool:
        cursor = self._execute(
            "UPDATE approvals SET state = ?, decided_by = ?, decided_at = ?, reason = ? "
            "WHERE id = ? AND state = 'pending' AND fingerprint = ?",
            (state, by, at, reason, approval.id, approval.fingerprint),
        )
        return cursor.rowcount == 1

    def _must_move(self, approval: Approval, to: CallState, **changed: Any) -> None:
        # A pending approval means a held call; anything else would be two decisions, so the
        # whole transaction is given up rather than believed.
        if not self.move(approval.id, CallState.HELD, to, **changed):
            raise RuntimeError(f"approval {approval.id} is pending and its call is not held")


def _stored(name: str, value: Any) -> Any:
    if name in _JSON and value is not None:
        return to_text(value)
    return value


def _approval(row: tuple[Any, ...]) -> Approval:
    values = dict(zip(_FIELDS, row, strict=True))
    for name in _JSON:
        if values[name] is not None:
            values[name] = from_text(values[name])
    return Approval(**values)
