"""Event: a fact in the past tense, numbered without gaps, stored and streamed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
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
    "grant_made",
    "grant_ended",
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


_FOR_PROGRAMS = frozenset({"fingerprint", "deadline", "hash"})
"""What a person can do nothing with in one line; `--json` has it."""
_WORD = re.compile(r"[^\s\"=]+")
_DIGEST = re.compile("[0-9a-f]{64}")


def told(data: Mapping[str, Any]) -> str:
    """Return what an event says as one line for people: `state=held client="my agent"`."""
    return " ".join(
        f"{name}={_told(value)}"
        for name, value in data.items()
        if name not in _FOR_PROGRAMS and value is not None and value is not False and value != ""
    )


def _told(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if _DIGEST.fullmatch(value):
        return value[:12]
    if _WORD.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
