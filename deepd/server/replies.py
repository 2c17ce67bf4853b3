"""Replies that are more than one value of `deepd.model`: what the routes answer, field by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from deepd.daemon.history import Told
from deepd.model.approval import Approval
from deepd.model.audit import AuditRow
from deepd.model.call import Call
from deepd.model.files import FileStat, Match
from deepd.model.grant import Grant
from deepd.model.profile import Answer, Position
from deepd.model.session import SessionView

Packed = dict[str, str]
"""Bytes: as `text` when they are UTF-8, else as `base64`."""


@dataclass(frozen=True, slots=True)
class Done:
    """It was done; there is no more to say."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine, or the first of several."""

    name: str
    endpoint: str
    state: Literal["up", "down"]
    detail: str
    """Why it is down."""
    version: str
    isolation: str
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether daemon and engine are well."""

    status: Literal["ok", "degraded"]
    engine: Engine


@dataclass(frozen=True, slots=True)
class ProfileProblem:
    """What is wrong in a profile, and where."""

    file: str
    line: int
    column: int
    message: str
    hint: str
    source: str
    length: int


@dataclass(frozen=True, slots=True)
class ProfileShown:
    """How one profile's file is doing."""

    name: str
    file: str
    state: Literal["ready", "stale", "broken"]
    revision: str
    problems: Sequence[ProfileProblem]
    loaded_at: float


@dataclass(frozen=True, slots=True)
class ProfileInForce(ProfileShown):
    """A profile's state, with what is in force of it."""

    profile: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ProfileList:
    """All profiles."""

    profiles: Sequence[ProfileShown]


@dataclass(frozen=True, slots=True)
class DaemonInfo:
    """What the daemon is."""

    version: str
    pid: int
    instance: str
    started_at: float
    state_dir: str
    socket: str
    agent_socket: str
    engine: Engine
    profiles: Sequence[ProfileShown]
    last_event: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """The daemon ends."""

    stopping: Literal[True]
    keep: bool


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Rows of the audit trail, oldest first."""

    rows: Sequence[AuditRow]


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """What would be done, and why."""

    action: Literal["create", "update", "remove", "recreate"]
    profile: str
    file: str
    session: str
    text: str
    cause: str
    again: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reload and the next look would do."""

    actions: Sequence[PlannedAction]


@dataclass(frozen=True, slots=True)
class SessionList:
    """All sessions as observed; following events after `last_event` has no gap."""

    sessions: Sequence[SessionView]
    last_event: int


@dataclass(frozen=True, slots=True)
class CallList:
    """Calls, newest first."""

    calls: Sequence[Call]


@dataclass(frozen=True, slots=True)
class CallTaken:
    """A call that goes on: come back for its end."""

    call: Call


@dataclass(frozen=True, slots=True)
class ExecResult:
    """A command that ended, and what it printed."""

    call: Call
    stdout: Packed
    stderr: Packed
    output: Packed
    """Both in the order of arrival."""


@dataclass(frozen=True, slots=True)
class ApprovalList:
    """Approvals; following events after `last_event` has no gap."""

    approvals: Sequence[Approval]
    last_event: int


@dataclass(frozen=True, slots=True)
class GrantShown(Grant):
    """A grant, and how many calls it still lets pass; `null` is any number."""

    left: int | None = None


@dataclass(frozen=True, slots=True)
class GrantList:
    """Grants."""

    grants: Sequence[GrantShown]


@dataclass(frozen=True, slots=True)
class GrantsEnded:
    """The grants that were ended."""

    grants: Sequence[Grant]


@dataclass(frozen=True, slots=True)
class EditShown:
    """One change of a profile, and as a sentence."""

    action: Literal["add", "remove", "set"]
    key: str
    value: str
    position: Position | None
    text: str


@dataclass(frozen=True, slots=True)
class ExplanationShown:
    """What is decided about a call, why, and the smallest edit that would change it."""

    answer: Answer
    rule: str
    position: Position | None
    reason: str
    detail: str
    part: tuple[int, int] | None
    part_text: str
    becomes: Answer | None
    edits: Sequence[EditShown]
    advice: str


@dataclass(frozen=True, slots=True)
class ProposalShown:
    """What may be remembered of an approval, and the edit that would have let it pass."""

    scopes: Sequence[str]
    looked_at: int
    grant_calls: Sequence[Told]
    grant_count: int
    edits: Sequence[EditShown]
    becomes: Answer | None
    rule_calls: Sequence[Told]
    rule_count: int


@dataclass(frozen=True, slots=True)
class Entries:
    """What a folder has, or a glob found."""

    entries: Sequence[FileStat]


@dataclass(frozen=True, slots=True)
class Matches:
    """Lines that a search found."""

    matches: Sequence[Match]


@dataclass(frozen=True, slots=True)
class PathShown:
    """Where something is."""

    path: str


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Edited:
    """A file in which text was replaced."""

    path: str
    occurrences: int
