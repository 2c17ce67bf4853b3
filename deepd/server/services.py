"""What the API stands on: the daemon's services as the routes see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from deepd.daemon.calls import Submit
from deepd.model.approval import Approval, ApprovalState, Decision
from deepd.model.call import Call, Chunk
from deepd.model.caller import Caller
from deepd.model.event import Dropped, Event
from deepd.model.files import SpooledOutput
from deepd.model.grant import Grant
from deepd.model.ids import CallId, ProfileName, SessionName
from deepd.model.metric import Metric
from deepd.model.profile import Profile
from deepd.model.sandbox import SandboxStats
from deepd.model.session import SessionView
from deepd.server.limits import Limits


class Profiles(Protocol):
    """The profiles and how each of them is."""

    def get(self, name: ProfileName) -> Profile: ...
    def states(self) -> Sequence[Any]: ...


class Files(Protocol):
    """The part of a sandbox that archives go through."""

    def archive(self, path: str) -> AsyncIterator[bytes]: ...
    async def extract(self, path: str, data: AsyncIterator[bytes]) -> object: ...


class Live(Protocol):
    """A sandbox that answers."""

    @property
    def sandbox(self) -> Files: ...


class Sessions(Protocol):
    """The sessions."""

    def list(self) -> Sequence[SessionView]: ...
    def view(self, name: SessionName) -> SessionView: ...
    def open(self, name: SessionName, profile: ProfileName | None) -> SessionView: ...
    async def close(self, name: SessionName, *, purge: bool = False) -> None: ...
    async def start(self, name: SessionName) -> object: ...
    async def stop(self, name: SessionName) -> object: ...
    async def pause(self, name: SessionName) -> object: ...
    async def resume(self, name: SessionName) -> object: ...
    async def ready(self, name: SessionName, *, within: float) -> Live: ...
    def busy(
        self, name: SessionName, kind: Literal["running", "held"]
    ) -> AbstractContextManager[object]: ...


class Calls(Protocol):
    """The calls."""

    async def submit(self, submit: Submit, caller: Caller) -> Call: ...
    async def wait(self, call_id: CallId, timeout: float | None = None) -> Call: ...
    async def answer(self, call_id: CallId) -> Call: ...
    def get(self, id_or_prefix: str) -> Call: ...
    def list(
        self, session: SessionName | None = None, *, open_only: bool = False, limit: int = 100
    ) -> Sequence[Call]: ...
    def output(
        self, call_id: CallId, *, after: int = 0, follow: bool = False, paces: bool = False
    ) -> AsyncIterator[Chunk]: ...
    def open_output(self, call_id: CallId) -> SpooledOutput | None: ...
    async def cancel(self, call_id: CallId, caller: Caller, reason: str = "") -> Call: ...
    async def stdin(self, call_id: CallId, data: bytes, *, eof: bool = False) -> None: ...
    async def resize(self, call_id: CallId, rows: int, cols: int) -> None: ...
    def result(self, call: Call) -> dict[str, Any]: ...
    def asked_body(self, call: Call) -> bytes: ...


class ApprovalQueue(Protocol):
    """What waits for a decision, and what was decided."""

    def list(self, state: ApprovalState | None = "pending") -> Sequence[Approval]: ...
    def get(self, id_or_prefix: str) -> Approval: ...
    def decide(
        self, approval_id: CallId, fingerprint: str | None, decision: Decision, caller: Caller
    ) -> Approval: ...


class Grants(Protocol):
    """What is remembered."""

    def all(self, *, ended: bool = False) -> Sequence[Grant]: ...
    def revoke(self, id_or_prefix: str, caller: Caller) -> Grant: ...
    def revoke_all(self, session: SessionName | None, caller: Caller) -> Sequence[Grant]: ...


class Policy(Protocol):
    """Questions about what would be decided."""

    async def propose(self, approval: Approval) -> Any: ...
    async def backtest(
        self,
        *,
        file: Path | None,
        profile: ProfileName | None,
        of: ProfileName | None,
        since: float,
    ) -> Any: ...

    async def explain(
        self,
        tool: str,
        args: Mapping[str, Any],
        *,
        profile: ProfileName | None,
        session: SessionName | None,
    ) -> Any: ...


class Events(Protocol):
    """Facts by their numbers."""

    def last(self) -> int: ...
    def since(self, after: int, limit: int = 1000) -> Sequence[Event]: ...
    def follow(self, after: int | None = None) -> AsyncIterator[Event | Dropped]: ...


class Logs(Protocol):
    """What a session printed and lived through, line by line."""

    def lines(
        self,
        session: SessionName,
        *,
        after: int = 0,
        search: str = "",
        follow: bool = False,
        limit: int = 1000,
        newest: int = 0,
    ) -> AsyncIterator[Sequence[Any]]: ...


@dataclass(frozen=True)
class Services:
    """All that the routes reach; the daemon fills it in."""

    profiles: Profiles
    sessions: Sessions
    calls: Calls
    approvals: ApprovalQueue
    events: Events
    logs: Logs
    info: Callable[[], Mapping[str, Any]]
    """The daemon's version, pid, paths, start; printable as JSON."""
    engine: Callable[[], Mapping[str, Any]]
    """The engine's name, endpoint, state (`up`, `down`), version, isolation, detail."""
    plan: Callable[[], Sequence[Any]]
    reload: Callable[[], Awaitable[None]]
    stop: Callable[[bool], None]
    """End the daemon soon; `True` keeps the sandboxes running."""
    stats: Callable[[SessionName], Awaitable[SandboxStats]]
    spool: Path
    """A private folder for bodies that are too large for memory."""
    audit: Callable[[int, int], Sequence[Any]] | None = None
    """Rows of the audit trail after a number, at most so many."""
    numbers: Callable[[], Sequence[Metric]] = tuple
    """What the daemon counts of itself."""
    policy: Policy | None = None
    grants: Grants | None = None
    limits: Limits = field(default_factory=Limits)
