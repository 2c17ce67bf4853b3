"""Call: one request to a session by a tool, the states it goes through, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from deepd.model.ids import CallId, ProfileName, SessionName


class CallState(StrEnum):
    """Where a call is in its life; `TERMINAL` are the ends."""

    RECEIVED = "received"
    DENIED = "denied"
    HELD = "held"
    APPROVED = "approved"
    EXPIRED = "expired"
    ADMITTED = "admitted"
    SENT = "sent"
    RUNNING = "running"
    FINISHED = "finished"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"
    FAILED = "failed"
    """It could not be started: no image, no engine in time, arguments that the sandbox refused."""


TERMINAL = frozenset(
    {
        CallState.DENIED,
        CallState.EXPIRED,
        CallState.FINISHED,
        CallState.TIMED_OUT,
        CallState.CANCELLED,
        CallState.LOST,
        CallState.FAILED,
    }
)
OPEN = frozenset(CallState) - TERMINAL

NEXT: dict[CallState, frozenset[CallState]] = {
    CallState.RECEIVED: frozenset({CallState.DENIED, CallState.HELD, CallState.ADMITTED}),
    CallState.HELD: frozenset(
        {CallState.APPROVED, CallState.DENIED, CallState.EXPIRED, CallState.CANCELLED}
    ),
    CallState.APPROVED: frozenset(
        {
            CallState.ADMITTED,
            CallState.DENIED,
            CallState.HELD,
            CallState.CANCELLED,
            CallState.FAILED,
        }
    ),
    CallState.ADMITTED: frozenset(
        {
            CallState.SENT,
            CallState.HELD,
            CallState.FINISHED,
            CallState.CANCELLED,
            CallState.FAILED,
            CallState.DENIED,
        }
    ),
    CallState.SENT: frozenset(
        {
            CallState.RUNNING,
            CallState.FINISHED,
            CallState.TIMED_OUT,
            CallState.CANCELLED,
            CallState.LOST,
            CallState.FAILED,
        }
    ),
    CallState.RUNNING: frozenset(
        {CallState.FINISHED, CallState.TIMED_OUT, CallState.CANCELLED, CallState.LOST}
    ),
}
"""The only moves there are; the store makes each by compare-and-set.

A call goes back to `held` when the profile changed under it before it was sent, and an agent's
own tool goes from `admitted` to `finished` because nothing of it runs here.
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One stored call."""

    id: CallId
    session: SessionName
    profile: ProfileName
    tool: str
    args: dict[str, Any]
    state: CallState
    client: str = ""
    """The caller's name for itself; not proven."""
    uid: int = -1
    """The peer's user id on the socket; proven."""
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    background: bool = False
    idempotency_key: str = ""
    asked_sha256: str = ""
    """Over what was asked, so that a repeated key with another request is noticed."""
    timeout: float | None = None
    """Seconds that it may run, once sent."""
    body_size: int = 0
    body_sha256: str = ""
    """What came as the request's body, of which the bytes are kept until the call ends."""
    container: str = ""
    """The container it was sent to."""
    boot: str = ""
    """Which start of that container's guest; another start knows nothing of this call."""
    cancel_reason: str = ""
    """Not empty once somebody asked to cancel it."""
    rule: str = ""
    """Why it was allowed, held or denied: rule with file:line:column, or a grant."""
    reason: str = ""
    """Why it ended as it did, for a person."""
    exit_code: int | None = None
    result: dict[str, Any] = field(default_factory=dict)
    """What a file tool answered, or an execute's counters; small."""
    output_size: int = 0
    """Bytes printed in all, kept or not."""
    truncated: bool = False
    """Not all of the output was kept."""
    grant: str = ""
    """The id of the grant that let it pass, where one did."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a call's output in the order of arrival."""

    offset: int
    """Where it begins among all bytes of this call, both streams counted."""
    stream: int
    """1 stdout, 2 stderr; a pty has only stdout."""
    data: bytes
