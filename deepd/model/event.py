"""Event: a fact in the past tense, numbered without gaps, stored and streamed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

EventKind = Literal[
    "daemon_started",
    "daemon_stopped",
    "engine_up",
    "engine_down",
    "profile_loaded",
    "profile_rejected",
    "profile_removed",
    "session_opened",
    "session_closed",
    "session_failed",
    "image_progress",
    "sandbox_created",
    "sandbox_started",
    "sandbox_ready",
    "sandbox_stopped",
    "sandbox_removed",
    "sandbox_paused",
    "sandbox_resumed",
    "sandbox_updated",
    "sandbox_claimed",
    "call_received",
    "call_denied",
    "call_started",
    "call_finished",
    "approval_asked",
    "approval_decided",
]


@dataclass(frozen=True, slots=True)
class Event:
    """One fact; `id` goes up by one."""

    id: int
    at: float
    kind: EventKind
    session: str = ""
    call: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    """What else is to be said, such as `cause`; small and printable as JSON."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Told to a follower that read too slowly: follow again from here, nothing is lost."""

    resume_after: int
