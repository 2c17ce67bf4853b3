"""Grant: an approval that is remembered, for exactly the call that was shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from deepd.model.ids import CallId, GrantId, ProfileName, SessionName

GrantScope = Literal["session", "profile"]
GrantState = Literal["active", "used up", "over", "ended"]


@dataclass(frozen=True, slots=True)
class Remember:
    """How far an approval shall be remembered."""

    scope: GrantScope
    """`session`: in this session only; `profile`: in every session of its profile."""
    count: int | None = None
    """How many further calls it lets pass; `None` sets no limit."""
    until: float | None = None
    """When it ends, in seconds since the epoch; `None` never."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One remembered approval; it ends with its count, its time, its session, or by a person."""

    id: GrantId
    scope: GrantScope
    session: SessionName
    """Where it was given."""
    profile: ProfileName
    tool: str
    args: dict[str, Any]
    bound: str
    """SHA-256 over all that must be the same in a call that it lets pass."""
    call: CallId
    """The call that was approved."""
    asked_by: str
    """The rule that held it; a call that another rule holds is asked."""
    granted_at: float
    granted_by: str
    """As in `Approval.decided_by`."""
    count: int | None = None
    used: int = 0
    until: float | None = None
    context: dict[str, Any] = field(default_factory=dict)
    """What was shown beside the arguments."""
    last_used_at: float | None = None
    ended_at: float | None = None
    ended_by: str = ""
    """Who or what ended it, and empty while nobody did."""

    @property
    def left(self) -> int | None:
        """How many calls it still lets pass; `None` is any number."""
        return None if self.count is None else max(0, self.count - self.used)

    def state(self, now: float) -> GrantState:
        """Return whether it counts, and if not, why not any more."""
        if self.ended_at is not None:
            return "ended"
        if self.left == 0:
            return "used up"
        return "over" if self.until is not None and self.until <= now else "active"
