"""Services in memory for tests of the API alone: scripted calls, and the world to assert on."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deepd.daemon.profiles import ProfileState
from deepd.errors import (
    AlreadyDecidedError,
    ConflictError,
    FileError,
    FingerprintError,
    GoneError,
    NotFoundError,
)
from deepd.model.approval import Approval, ApprovalState, Approved, Decision
from deepd.model.call import OPEN, TERMINAL, Call, CallState, Chunk
from deepd.model.caller import Caller
from deepd.model.event import Dropped, Event
from deepd.model.files import SpooledOutput
from deepd.model.ids import CallId, ProfileName, SessionName, new_call_id
from deepd.model.profile import Profile
from deepd.model.sandbox import SandboxStats
from deepd.model.session import SessionView
from deepd.server.limits import Limits
from deepd.server.services import Services

if TYPE_CHECKING:
    from deepd.daemon.calls import Submit

FINGERPRINT = "f" * 64


class ScriptedCalls:
    """Calls whose command says how they go: `echo …`, `hold …`, `deny …`, `wait`, `slow`, …."""

    def __init__(self) -> None:
        self.calls: dict[CallId, Call] = {}
        self.keys: dict[str, CallId] = {}
        self.callers: list[Caller] = []
        self.bodies: dict[CallId, bytes] = {}
        self.stdin_of: dict[CallId, bytes] = {}
        self.sizes: list[tuple[int, int]] = []
        self.chunks: dict[CallId, list[Chunk]] = {}
        self.changed = asyncio.Condition()
        self.gate = asyncio.Event()
        """Cleared, it holds new calls back before they are stored."""
        self.gate.set()

    async def submit(self, submit: Submit, caller: Caller) -> Call:
        if submit.idempotency_key in self.keys:
            return self.calls[self.keys[submit.idempotency_key]]
        self.callers.append(caller)
        await self.gate.wait()
        call = Call(
            id=new_call_id(),
            session=submit.session,
            profile=submit.profile or ProfileName("python"),
            tool=submit.tool,
            args=dict(submit.args),
            state=CallState.RUNNING,
            client=caller.client,
            uid=caller.uid,
            background=submit.background,
            idempotency_key=submit.idempotency_key,
        )
        self.calls[call.id] = call
        if submit.idempotency_key:
            self.keys[submit.idempotency_key] = call.id
        self.chunks[call.id] = []
        self.stdin_of[call.id] = b""
        if submit.body is not None:
            body = submit.body
            self.bodies[call.id] = body.path.read_bytes() if body.path else body.data
        self._play(call)
        return self.calls[call.id]

    def _play(self, call: Call) -> None:
        words = str(call.args.get("command") or call.args.get("path") or call.tool).split(" ", 1)
        rest = words[1] if len(words) > 1 else ""
        match words[0]:
            case "hold":
                self.change(call.id, state=CallState.HELD, rule="strict.toml:22:9")
            case "deny":
                self.change(call.id, state=CallState.DENIED, reason=rest, rule="strict.toml:3:1")
            case "wait":
                pass
            case "slow":
                self.print(call.id, b"so far")
                self.end(call.id, CallState.TIMED_OUT, reason="it ran longer than 1s")
            case "lost":
                self.end(call.id, CallState.LOST, reason="the container went away")
            case "bug":
                raise RuntimeError("the secret of the stack")
            case "missing":
                self._fail(call.id, FileError("no file missing", errno_name="ENOENT"))
            case "both":
                self.print(call.id, b"out\n")
                self.print(call.id, b"err\n", stream=2)
                self.print(call.id, b"\xff\n")
                self.end(call.id, exit_code=3)
            case _:
                self._file(call, rest)

    def _file(self, call: Call, rest: str) -> None:
        match call.tool:
            case "read_file":
                data = bytes(range(256)) * 1024
                offset = call.args.get("offset", 0)
                self.print(call.id, data[offset:][: call.args.get("limit", len(data))])
                self.end(call.id)
            case "execute":
                self.print(call.id, rest.encode())
                self.end(call.id, exit_code=0)
            case "write_file":
                size = len(self.bodies.get(call.id, b""))
                self.end(call.id, result={"path": call.args["path"], "size": size})
            case "edit_file":
                self.end(call.id, result={"path": call.args["path"], "occurrences": 1})
            case "grep":
                self.end(call.id, result={"matches": [{"path": "a", "line_number": 1}]})
            case _:
                self.end(call.id, result={"entries": [{"path": call.args.get("path")}]})

    def _fail(self, call_id: CallId, error: FileError) -> None:
        problem = {"code": error.code, "detail": error.detail, "errno": error.errno_name}
        self.end(call_id, CallState.FAILED, reason=error.detail, result={"error": problem})

    def print(self, call_id: CallId, data: bytes, stream: int = 1) -> None:
        offset = self.calls[call_id].output_size
        self.chunks[call_id].append(Chunk(offset, stream, data))
        self.change(call_id, output_size=offset + len(data))

    def end(self, call_id: CallId, state: CallState = CallState.FINISHED, **changed: Any) -> None:
        self.change(call_id, state=state, **changed)

    def change(self, call_id: CallId, **changed: Any) -> None:
        self.calls[call_id] = dataclasses.replace(self.calls[call_id], **changed)
        asyncio.get_running_loop().call_soon(asyncio.create_task, self._notify())

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def wait(self, call_id: CallId, timeout: float | None = None) -> Call:
        async with asyncio.timeout(timeout), self.changed:
            await self.changed.wait_for(lambda: self.calls[call_id].state in TERMINAL)
        return self.calls[call_id]

    async def answer(self, call_id: CallId) -> Call:
        return await self.wait(call_id)

    def get(self, id_or_prefix: str) -> Call:
        found = [call for call in self.calls.values() if call.id.startswith(id_or_prefix)]
        if len(found) != 1:
            raise NotFoundError(f"no call {id_or_prefix}")
        return found[0]

    def list(
        self, session: SessionName | None = None, *, open_only: bool = False, limit: int = 100
    ) -> Sequence[Call]:
        return [
            call
            for call in reversed(self.calls.values())
            if session in (None, call.session) and (not open_only or call.state in OPEN)
        ][:limit]

    async def output(
        self, call_id: CallId, *, after: int = 0, follow: bool = False, paces: bool = False
    ) -> AsyncIterator[Chunk]:
        given = 0
        while True:
            for chunk in self.chunks[call_id][given:]:
                given += 1
                if chunk.offset >= after:
                    yield chunk
            if not follow or self.calls[call_id].state in TERMINAL:
                return
            async with self.changed:
                if given == len(self.chunks[call_id]):
                    await self.changed.wait()

    def open_output(self, call_id: CallId) -> SpooledOutput | None:
        return None

    async def cancel(self, call_id: CallId, caller: Caller, reason: str = "") -> Call:
        self.end(call_id, CallState.CANCELLED, reason=reason)
        return self.calls[call_id]

    async def stdin(self, call_id: CallId, data: bytes, *, eof: bool = False) -> None:
        if self.calls[call_id].state in TERMINAL:
            raise ConflictError("it ended")
        self.stdin_of[call_id] += data
        if data:
            self.print(call_id, data.upper())
        if eof:
            self.end(call_id, exit_code=7)

    def asked_body(self, call: Call) -> bytes:
        return self.bodies[call.id]

    def result(self, call: Call) -> dict[str, Any]:
        return call.result

    async def resize(self, call_id: CallId, rows: int, cols: int) -> None:
        self.sizes.append((rows, cols))


class Sandbox:
    """Archives of one piece."""

    def __init__(self) -> None:
        self.extracted = b""

    async def archive(self, path: str) -> AsyncIterator[bytes]:
        if path == "missing":
            raise FileError("no such folder", errno_name="ENOENT")
        yield b"tar of "
        yield path.encode()

    async def extract(self, path: str, data: AsyncIterator[bytes]) -> None:
        async for piece in data:
            self.extracted += piece


class Live:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox


class MemorySessions:
    """Sessions that do at once what they are told."""

    def __init__(self) -> None:
        self.views: dict[SessionName, SessionView] = {}
        self.closed: list[tuple[SessionName, bool]] = []
        self.sandbox = Sandbox()
        self.busy_now = 0

    def list(self) -> Sequence[SessionView]:
        return list(self.views.values())

    def view(self, name: SessionName) -> SessionView:
        if name not in self.views:
            raise NotFoundError(f"no session {name}", next_step="see `deepd ps`")
        return self.views[name]

    def open(self, name: SessionName, profile: ProfileName | None) -> SessionView:
        view = SessionView(name=name, profile=profile or ProfileName("python"), state="ready")
        return self.views.setdefault(name, view)

    async def close(self, name: SessionName, *, purge: bool = False) -> None:
        self.view(name)
        del self.views[name]
        self.closed.append((name, purge))

    async def _to(self, name: SessionName, state: str) -> None:
        self.views[name] = dataclasses.replace(self.view(name), state=state)

    async def start(self, name: SessionName) -> None:
        await self._to(name, "ready")

    async def stop(self, name: SessionName) -> None:
        await self._to(name, "stopped")

    async def pause(self, name: SessionName) -> None:
        await self._to(name, "paused")

    async def resume(self, name: SessionName) -> None:
        await self._to(name, "ready")

    async def ready(self, name: SessionName, *, within: float) -> Live:
        return Live(self.sandbox)

    @contextmanager
    def busy(self, name: SessionName, kind: Literal["running", "held"]) -> Iterator[None]:
        self.busy_now += 1
        try:
            yield
        finally:
            self.busy_now -= 1


class MemoryApprovals:
    """Decides calls of `ScriptedCalls` that are held."""

    def __init__(self, calls: ScriptedCalls) -> None:
        self._calls = calls
        self.decided: dict[CallId, tuple[Decision, Caller]] = {}

    def list(self, state: ApprovalState | None = "pending") -> Sequence[Approval]:
        held = [call for call in self._calls.calls.values() if call.state is CallState.HELD]
        return [self._approval(call) for call in held] if state in {"pending", None} else []

    def get(self, id_or_prefix: str) -> Approval:
        return self._approval(self._calls.get(id_or_prefix))

    def decide(
        self, approval_id: CallId, fingerprint: str | None, decision: Decision, caller: Caller
    ) -> Approval:
        if approval_id in self.decided:
            raise AlreadyDecidedError("decided already")
        if fingerprint != FINGERPRINT:
            raise FingerprintError("not what was shown")
        self.decided[approval_id] = (decision, caller)
        if isinstance(decision, Approved):
            self._calls.print(approval_id, b"approved")
            self._calls.end(approval_id, exit_code=0)
        else:
            self._calls.end(approval_id, CallState.DENIED, reason=decision.reason)
        return self.get(approval_id)

    def _approval(self, call: Call) -> Approval:
        return Approval(
            id=call.id,
            session=call.session,
            profile=call.profile,
            tool=call.tool,
            args=call.args,
            fingerprint=FINGERPRINT,
            asked_at=1.0,
            deadline=None,
        )


class MemoryEvents:
    """Events from `first` on; a follower may be at most `room` behind."""

    def __init__(self, first: int = 1, room: int = 1000) -> None:
        self.first = first
        self.room = room
        self.events: list[Event] = []
        self.followers: list[asyncio.Queue[Event]] = []

    def publish(self, session: str = "main") -> None:
        event = Event(self.last() + 1, 1.0, "call_started", session=session)
        self.events.append(event)
        for queue in self.followers:
            queue.put_nowait(event)

    def last(self) -> int:
        return self.events[-1].id if self.events else self.first - 1

    def since(self, after: int, limit: int = 1000) -> Sequence[Event]:
        if after + 1 < self.first:
            raise GoneError(f"event {after + 1} is not kept")
        return [event for event in self.events if event.id > after][:limit]

    async def follow(self, after: int | None = None) -> AsyncIterator[Event | Dropped]:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        for event in self.since(after, 10**9) if after is not None else ():
            queue.put_nowait(event)
        self.followers.append(queue)
        last = after or 0
        try:
            while queue.qsize() <= self.room:
                event = await queue.get()
                last = event.id
                yield event
            yield Dropped(last)
        finally:
            self.followers.remove(queue)


class MemoryLogs:
    async def lines(
        self,
        session: SessionName,
        *,
        after: int = 0,
        search: str = "",
        follow: bool = False,
        limit: int = 1000,
        newest: int = 0,
    ) -> AsyncIterator[list[Any]]:
        for number, text in enumerate(("first", "second"), start=1):
            if number > after and search in text:
                yield [{"number": number, "text": text}]


class MemoryProfiles:
    def get(self, name: ProfileName) -> Profile:
        if name != "python":
            raise NotFoundError(f"no profile {name}")
        return Profile(name=name, file=Path("/profiles/python.toml"), image="python:3.12-slim")

    def states(self) -> Sequence[ProfileState]:
        return [ProfileState(ProfileName("python"), Path("/profiles/python.toml"), "ready", "r1")]


class World:
    """The services, each reachable with its own type."""

    def __init__(self, spool: Path, limits: Limits | None = None) -> None:
        self.calls = ScriptedCalls()
        self.sessions = MemorySessions()
        self.approvals = MemoryApprovals(self.calls)
        self.events = MemoryEvents()
        self.reloads = 0
        self.stopped: list[bool] = []
        self.engine = {"name": "docker", "endpoint": "unix:///x.sock", "state": "up"}
        self.services = Services(
            profiles=MemoryProfiles(),
            sessions=self.sessions,
            calls=self.calls,
            approvals=self.approvals,
            events=self.events,
            logs=MemoryLogs(),
            info=lambda: {"version": "0.1.0", "pid": 1},
            engine=lambda: self.engine,
            plan=lambda: [{"action": "create", "session": "main", "cause": "no sandbox"}],
            reload=self._reload,
            stop=self.stopped.append,
            stats=self._stats,
            spool=spool,
            limits=limits or Limits(),
        )

    async def _reload(self) -> None:
        self.reloads += 1

    async def _stats(self, name: SessionName) -> SandboxStats:
        return SandboxStats(cpu=0.5, memory=1, memory_limit=2, pids=3)
