"""Replies that are more than one value of `deepd.model`: what the routes answer, field by field.

They are dicts: dozens of dataclasses would cost every start of the daemon 30 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from typing_extensions import TypedDict

from deepd.daemon.history import Told
from deepd.model.approval import Approval
from deepd.model.audit import AuditRow
from deepd.model.call import Call
from deepd.model.files import FileStat, Match
from deepd.model.grant import Grant, GrantScope
from deepd.model.ids import CallId, GrantId, ProfileName, SessionName
from deepd.model.profile import Answer, Position
from deepd.model.session import SessionView

Packed = dict[str, str]
"""Bytes: as `text` when they are UTF-8 and not mostly NUL, else as `base64`."""


class Done(TypedDict):
    """It was done; there is no more to say."""


class Engine(TypedDict):
    """The engine, or the first of several."""

    name: str
    endpoint: str
    state: Literal["up", "down"]
    detail: str
    """Why it is down."""
    version: str
    isolation: str
    warnings: Sequence[str]


class Health(TypedDict):
    """Whether daemon and engine are well."""

    status: Literal["ok", "degraded"]
    engine: Engine


class ProfileProblem(TypedDict):
    """What is wrong in a profile, and where."""

    file: str
    line: int
    column: int
    message: str
    hint: str
    source: str
    length: int


class ProfileShown(TypedDict):
    """How one profile's file is doing."""

    name: str
    file: str
    state: Literal["ready", "stale", "broken"]
    revision: str
    problems: Sequence[ProfileProblem]
    loaded_at: float


class ProfileInForce(ProfileShown):
    """A profile's state, with what is in force of it."""

    profile: dict[str, Any] | None


class ProfileList(TypedDict):
    """All profiles."""

    profiles: Sequence[ProfileShown]


class DaemonInfo(TypedDict):
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


class Stopping(TypedDict):
    """The daemon ends."""

    stopping: Literal[True]
    keep: bool


class AuditPage(TypedDict):
    """Rows of the audit trail, oldest first."""

    rows: Sequence[AuditRow]


class PlannedAction(TypedDict):
    """What would be done, and why."""

    action: Literal["create", "update", "remove", "recreate"]
    profile: str
    file: str
    session: str
    text: str
    cause: str
    again: bool


class Plan(TypedDict):
    """What a reload and the next look would do."""

    actions: Sequence[PlannedAction]


class SessionList(TypedDict):
    """All sessions as observed; following events after `last_event` has no gap."""

    sessions: Sequence[SessionView]
    last_event: int


class CallList(TypedDict):
    """Calls, newest first."""

    calls: Sequence[Call]


class CallTaken(TypedDict):
    """A call that goes on: come back for its end."""

    call: Call


class ExecResult(TypedDict):
    """A command that ended, and what it printed."""

    call: Call
    stdout: Packed
    stderr: Packed
    output: Packed
    """Both in the order of arrival."""


class ApprovalList(TypedDict):
    """Approvals; following events after `last_event` has no gap."""

    approvals: Sequence[Approval]
    last_event: int


class GrantShown(TypedDict):
    """A grant, and how many calls it still lets pass; `null` is any number."""

    id: GrantId
    scope: GrantScope
    session: SessionName
    profile: ProfileName
    tool: str
    args: dict[str, Any]
    bound: str
    call: CallId
    asked_by: str
    granted_at: float
    granted_by: str
    count: int | None
    used: int
    until: float | None
    context: dict[str, Any]
    last_used_at: float | None
    ended_at: float | None
    ended_by: str
    left: int | None


class GrantList(TypedDict):
    """Grants."""

    grants: Sequence[GrantShown]


class GrantsEnded(TypedDict):
    """The grants that were ended."""

    grants: Sequence[Grant]


class EditShown(TypedDict):
    """One change of a profile, and as a sentence."""

    action: Literal["add", "remove", "set"]
    key: str
    value: str
    position: Position | None
    text: str


class ExplanationShown(TypedDict):
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


class ProposalShown(TypedDict):
    """What may be remembered of an approval, and the edit that would have let it pass."""

    scopes: Sequence[str]
    looked_at: int
    grant_calls: Sequence[Told]
    grant_count: int
    edits: Sequence[EditShown]
    becomes: Answer | None
    rule_calls: Sequence[Told]
    rule_count: int


class Entries(TypedDict):
    """What a folder has, or a glob found."""

    entries: Sequence[FileStat]


class Matches(TypedDict):
    """Lines that a search found."""

    matches: Sequence[Match]


class PathShown(TypedDict):
    """Where something is."""

    path: str


class Written(TypedDict):
    """A file that was written."""

    path: str
    size: int


class Edited(TypedDict):
    """A file in which text was replaced."""

    path: str
    occurrences: int
