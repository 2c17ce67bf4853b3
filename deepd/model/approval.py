"""Approval: a held call as it is shown to a human, and the one decision that ends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from deepd.model.grant import Remember
from deepd.model.ids import CallId, ProfileName, SessionName

ApprovalState = Literal["pending", "approved", "denied", "expired", "cancelled"]


@dataclass(frozen=True, slots=True)
class Approved:
    """Run it: as shown, or with `args` in place of what was asked; and maybe `remember` it."""

    args: dict[str, Any] | None = None
    remember: Remember | None = None
    kind: Literal["approved"] = "approved"


@dataclass(frozen=True, slots=True)
class Denied:
    """Do not run it; the caller is told the reason. `stop` also ends the caller's open calls."""

    reason: str = "denied by a human"
    stop: bool = False
    kind: Literal["denied"] = "denied"


Decision = Approved | Denied


@dataclass(frozen=True, slots=True)
class Approval:
    """One call on hold; its id is the call's."""

    id: CallId
    session: SessionName
    profile: ProfileName
    tool: str
    args: dict[str, Any]
    fingerprint: str
    """SHA-256 over all that decides what runs; a decision must echo it."""
    asked_at: float
    deadline: float | None
    """Seconds since the epoch; `None` waits for ever (`on_timeout = "keep"`)."""
    client: str = ""
    uid: int = -1
    rule: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    """What it would run with: cwd, user, env names, image, profile revision, timeout."""
    state: ApprovalState = "pending"
    decided_at: float | None = None
    decided_by: str = ""
    """`uid 1000 (alice via cli)`: the proven uid first, the claimed name behind it."""
    reason: str = ""
    approved_args: dict[str, Any] | None = None
    """What was approved, edited or not; `None` until then."""
    approved_fingerprint: str = ""
    """The fingerprint of what was approved: checked again before it is sent."""
