"""CallService: takes calls in, holds or runs them, and answers for them until forgotten."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepd.daemon.admission import Admission, Look
from deepd.daemon.approvals import ApprovalService, rule_text
from deepd.daemon.attachment import Live, Sessions
from deepd.daemon.driver import Driver
from deepd.daemon.events import EventBus
from deepd.daemon.grants import rule_of
from deepd.daemon.journal import Journal
from deepd.daemon.named_files import Files, files_of
from deepd.daemon.opencall import OpenCall
from deepd.daemon.prefix import checked_prefix, not_one
from deepd.daemon.reattach import Reattach
from deepd.daemon.release import release
from deepd.daemon.resolve import resolved_path
from deepd.daemon.tools import Execute, Foreign, ToolRequest, parse_tool_request
from deepd.errors import (
    ArgumentsError,
    ConflictError,
    DeepdError,
    EngineDownError,
    GoneError,
    LimitError,
    NotFoundError,
)
from deepd.guest.call import GuestCall
from deepd.guest.opening import Opening
from deepd.model.approval import Approval
from deepd.model.body import Body
from deepd.model.call import OPEN, TERMINAL, Call, CallState, Chunk
from deepd.model.caller import Caller
from deepd.model.files import SpooledOutput
from deepd.model.ids import CallId, ProfileName, SessionName, new_call_id
from deepd.model.profile import Profile
from deepd.policy.decide import decide
from deepd.policy.verdict import Verdict
from deepd.store.text import to_sorted_text

logger = logging.getLogger(__name__)

MAX_OPEN = 4096
"""Open calls in all, held ones included."""
_MAX_KEY = 200
_MAX_INPUT = 1 << 20
_OPEN_WITHIN = 30.0
"""Seconds that input waits for its call to start."""
_ENDING = 2.0
"""Seconds that cancelled calls have to end when the daemon does."""
_RELEASE_AGAIN = 200
"""Ended calls of a sandbox whose release may have been lost with a killed daemon."""


@dataclass(frozen=True, slots=True)
class Submit:
    """One request for a call, as it came in."""

    session: SessionName
    tool: str
    args: dict[str, Any]
    profile: ProfileName | None = None
    body: Body | None = None
    timeout: float | None = None
    """Seconds that it may run, where the arguments do not say."""
    background: bool = False
    idempotency_key: str = ""


class CallService:
    """All calls; the one way by which anything runs in a sandbox for a caller."""

    def __init__(
        self, journal: Journal, bus: EventBus, sessions: Sessions, approvals: ApprovalService
    ) -> None:
        self._journal = journal
        self._store = journal.store
        self._bus = bus
        self._sessions = sessions
        self._approvals = approvals
        self._open: dict[CallId, OpenCall] = {}
        admission = Admission(journal, approvals, sessions)
        self._driver = Driver(journal, admission, sessions, Reattach(sessions), self._ended)
        approvals.on_settled = self._settled
        approvals.on_stop = self._stop_caller
        sessions.on_attached(self._release_again)
        sessions.on_closed(self._cancel_all)

    async def submit(self, submit: Submit, caller: Caller) -> Call:
        """Store a call and start it, or hold it, or deny it; return it as it is then.

        Raises `ArgumentsError` for what does not fit the tool, `ConflictError` for an idempotency
        key that was used for something else, `LimitError` when nothing more can be taken in.
        """
        asked = _asked_sha256(submit)
        _check_key(submit.idempotency_key)
        # Where nothing is made on the way, the insert itself finds a key that was used before.
        may_make = submit.profile is not None or self._sessions.live(submit.session) is None
        if may_make and (same := self._same(submit, asked)) is not None:
            return same
        try:
            return await self._submit(submit, asked, caller)
        except DeepdError:
            if (same := self._same(submit, asked)) is not None:
                return same
            raise

    async def _submit(self, submit: Submit, asked: str, caller: Caller) -> Call:
        if len(self._open) >= MAX_OPEN:
            raise LimitError(f"{MAX_OPEN} calls are open", next_step="wait for some to end")
        profile = self._profile(submit)
        if self._sessions.live(submit.session) is None:
            # What brings its sandbox up asks the engine now, and what follows is done meanwhile:
            # a turn of the loop in which it is asked, and one in which that is sent.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            profile = self._sessions.profile_of(submit.session)
        request = self._parse(submit, profile)
        live = self._sessions.live(submit.session)
        resolved = await resolved_path(profile, submit.tool, submit.args, live)
        verdict = decide(profile, submit.tool, submit.args, resolved)
        files = Files()
        if verdict.answer == "ask":
            files = await files_of(submit.tool, submit.args, profile, live)
        if resolved is not None or verdict.answer == "ask":
            # Time has passed, and the profile may have changed.
            profile = self._profile(submit)
            request = self._parse(submit, profile)
            verdict = decide(profile, submit.tool, submit.args, resolved)
            live = self._sessions.live(submit.session)
        goes_now = verdict.answer == "allow" and not isinstance(request, Foreign)
        to = live if goes_now and live is not None and not live.guest.closed else None
        call = self._new_call(submit, asked, caller, profile, request, verdict, to)
        match verdict.answer:
            case "deny":
                self._journal.receive(call, None)
                return call
            case "ask":
                return self._ask(call, submit.body, request, Look(profile, verdict, files))
            case _:
                return self._start(call, submit.body, request, to)

    async def wait(self, call_id: CallId, timeout: float | None = None) -> Call:
        """Wait until a call is over, `TimeoutError` when that takes longer than the timeout."""
        open_call = self._open.get(call_id)
        if open_call is None:
            return self._stored(call_id)
        if timeout is None:
            return await open_call.wait()
        async with asyncio.timeout(timeout):
            return await open_call.wait()

    async def answer(self, call_id: CallId) -> Call:
        """Wait until it is known how a call ended; what it says may be stored a moment later."""
        open_call = self._open.get(call_id)
        return self._stored(call_id) if open_call is None else await open_call.wait_for_answer()

    def get(self, id_or_prefix: str) -> Call:
        """Return a call by its id, or by the beginning of it where that is unique."""
        found = self._store.find_calls(checked_prefix(id_or_prefix))
        if len(found) != 1:
            raise not_one("call", id_or_prefix, len(found))
        return found[0]

    def list(
        self, session: SessionName | None = None, *, open_only: bool = False, limit: int = 100
    ) -> list[Call]:
        """Return calls, newest first."""
        return self._store.calls(session, OPEN if open_only else None, limit)

    async def output(
        self, call_id: CallId, *, after: int = 0, follow: bool = False, paces: bool = False
    ) -> AsyncIterator[Chunk]:
        """Yield what is kept of a call's output from an offset on, then what comes, if followed.

        A follower that `paces` misses nothing: the command waits for it, as for a pipe's reader.
        """
        open_call = self._open.get(call_id)
        if open_call is not None:
            if follow:
                await open_call.collecting.wait()
            if open_call.collector is not None:
                async for chunk in open_call.collector.follow(after, live=follow, paces=paces):
                    yield chunk
                return
        call = self._stored(call_id)
        if call.state in TERMINAL and call.output_size and not self._store.has_output(call_id):
            raise GoneError(f"the output of call {call_id} is not kept any more")
        for chunk in self._store.output(call_id):
            if chunk.offset + len(chunk.data) > after:
                skip = max(0, after - chunk.offset)
                yield Chunk(chunk.offset + skip, chunk.stream, chunk.data[skip:])

    def open_output(self, call_id: CallId) -> SpooledOutput | None:
        """Open the output of an ended call where it is in a file; whoever gets it closes it."""
        return self._store.open_output(call_id)

    def body(self, call_id: CallId) -> bytes:
        """Return all that is kept of an ended call's output: a file's bytes, what was printed."""
        open_call = self._open.get(call_id)
        if open_call is not None and open_call.collector is not None:
            return b"".join(chunk.data for chunk in open_call.collector.kept_chunks())
        return b"".join(chunk.data for chunk in self._store.output(call_id))

    def asked_body(self, call: Call) -> bytes:
        """Return the body that an open call came with; `GoneError` when it ended or changed."""
        body = self._store.body(call.id)
        data = body.read_bytes() if isinstance(body, Path) else body
        if data is None or hashlib.sha256(data).hexdigest() != call.body_sha256:
            raise GoneError(f"call {call.id} has no body any more, or never had one")
        return data

    def result(self, call: Call) -> dict[str, Any]:
        """Return a call's result, also where it was too large for the row."""
        if call.result.get("in_output") is not True:
            return call.result
        found: dict[str, Any] = json.loads(self.body(call.id))
        return found

    async def cancel(self, call_id: CallId, caller: Caller, reason: str = "") -> Call:
        """Take a call back, wherever it is; one that is over stays as it ended.

        What runs is killed with all that it started; `wait()` tells when.
        """
        self._cancel(call_id, reason or f"cancelled by {caller}", str(caller))
        return self._stored(call_id)

    async def stdin(self, call_id: CallId, data: bytes, *, eof: bool = False) -> None:
        """Give input to a running call that was started with its input open."""
        if len(data) > _MAX_INPUT:
            raise ArgumentsError(f"{len(data)} bytes of input at once; at most {_MAX_INPUT} fit")
        guest_call = await self._input_of(call_id)
        await guest_call.write_stdin(data)
        if eof:
            await guest_call.close_stdin()

    async def resize(self, call_id: CallId, rows: int, cols: int) -> None:
        """Tell the terminal of a running call its size."""
        if not (0 < rows < 65536 and 0 < cols < 65536):
            raise ArgumentsError("rows and cols must be from 1 to 65535")
        (await self._input_of(call_id)).resize(rows, cols)

    def recover(self) -> None:
        """Take up every call that a former daemon left open; nothing is sent twice.

        Call it once the profiles and the sessions are there, and before new calls are taken.
        """
        self._approvals.recover()
        for call in reversed(self._store.calls(states=OPEN, limit=1_000_000)):
            open_call = self._remember(call, is_patient=True)
            if call.state is not CallState.HELD:
                self._drive(open_call, None)

    async def aclose(self) -> None:
        """Stop driving calls; they go on in their sandboxes and are taken up at the next start."""
        ending = [each.task for each in self._open.values() if each.task and each.cancel_reason]
        if ending:
            await asyncio.wait(ending, timeout=_ENDING)
        tasks = [each.task for each in self._open.values() if each.task is not None]
        for open_call in self._open.values():
            open_call.cancel_reason = ""
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for open_call in self._open.values():
            open_call.let_idle()

    def _same(self, submit: Submit, asked: str) -> Call | None:
        """Return the call that was made with the same key before."""
        key = submit.idempotency_key
        same = self._store.call_by_key(submit.session, key) if key else None
        if same is not None and same.asked_sha256 != asked:
            raise ConflictError(
                f"the idempotency key {key!r} was used for another call, {same.id[:8]}",
                next_step="use a new key for a new call",
            )
        return same

    def _profile(self, submit: Submit) -> Profile:
        """Return the profile of the call's session, which is made where there is none."""
        if submit.profile is None:
            try:
                return self._sessions.profile_of(submit.session)
            except NotFoundError:
                pass
        self._sessions.open(submit.session, submit.profile)
        return self._sessions.profile_of(submit.session)

    def _parse(self, submit: Submit, profile: Profile) -> ToolRequest:
        limits = profile.limits
        timeout = submit.timeout
        if timeout is None and submit.tool == "execute":
            # A terminal or a job is meant to last.
            lasts = submit.background or "pty" in submit.args
            timeout = limits.max_timeout if lasts else None
        elif timeout is not None and not 0 < timeout <= limits.max_timeout:
            raise ArgumentsError(f"timeout: must be more than 0 and at most {limits.max_timeout:g}")
        return parse_tool_request(
            submit.tool, submit.args, limits, body=submit.body, timeout=timeout
        )

    def _new_call(
        self,
        submit: Submit,
        asked: str,
        caller: Caller,
        profile: Profile,
        request: ToolRequest,
        verdict: Verdict,
        to: Live | None,
    ) -> Call:
        """Return the call as it is stored first: sent, where it goes `to` a sandbox at once."""
        now = self._journal.clock()
        is_denied = verdict.answer == "deny"
        state = CallState.ADMITTED if to is None else CallState.SENT
        timeout = request.timeout if isinstance(request, Execute) else submit.timeout
        return Call(
            id=new_call_id(),
            session=submit.session,
            profile=profile.name,
            tool=submit.tool,
            args=submit.args,
            state=CallState.DENIED if is_denied else state,
            client=caller.client,
            uid=caller.uid,
            created_at=now,
            started_at=None if to is None else now,
            ended_at=now if is_denied else None,
            background=submit.background,
            idempotency_key=submit.idempotency_key,
            asked_sha256=asked,
            timeout=profile.limits.timeout if timeout is None else timeout,
            body_size=submit.body.size if submit.body else 0,
            body_sha256=submit.body.sha256 if submit.body else "",
            container="" if to is None else to.container,
            boot="" if to is None else to.guest.info.boot,
            rule=rule_text(verdict),
            reason=(verdict.reason or verdict.rule) if is_denied else "",
        )

    def _ask(self, call: Call, body: Body | None, request: ToolRequest, look: Look) -> Call:
        """Hold a call that a person must see, unless one has seen just that and remembered it."""
        grants, live = self._approvals.grants, self._sessions.live(call.session)
        if isinstance(request, Foreign) or live is not None:
            grant = grants.covering(call, look.profile, look.verdict, live, look.files)
            if grant is None:
                return self._hold(call, body, look)
            if isinstance(request, Foreign):
                with self._store.write():
                    grants.use(grant)
                    granted = replace(call, rule=rule_of(grant), grant=grant.id)
                    return self._start(granted, body, request, None)
        elif not grants.may_cover(call, look.profile, look.verdict):
            return self._hold(call, body, look)
        # Admission is where a grant counts: what was seen here may be different by then.
        self._journal.receive(call, body)
        self._drive(self._remember(call, is_patient=call.background), None)
        return call

    def _hold(self, call: Call, body: Body | None, look: Look) -> Call:
        if body is not None and body.sealed is not None:
            body.sealed.close()  # no memory while a person thinks: the store has it
        call = replace(call, state=CallState.HELD)
        with self._store.write(durable=True):
            self._journal.receive(call, body, durable=True)
            self._approvals.hold(call, look.profile, look.verdict, look.files)
        self._remember(call, is_patient=True)
        return call

    def _start(self, call: Call, body: Body | None, request: ToolRequest, to: Live | None) -> Call:
        if isinstance(request, Foreign):
            now = self._journal.clock()
            result = {"args": call.args}
            call = replace(call, state=CallState.FINISHED, ended_at=now, result=result)
            self._journal.receive(call, body)
            return call
        self._journal.receive(call, body)
        opening = None if to is None else self._driver.begin(call, request, to)
        open_call = self._remember(call, is_patient=call.background)
        open_call.sealed = body.sealed if body else None
        if to is not None:
            open_call.known = call
        self._drive(open_call, to, opening)
        return call

    def _remember(self, call: Call, *, is_patient: bool) -> OpenCall:
        open_call = self._open[call.id] = OpenCall(call, is_patient=is_patient)
        return open_call

    def _drive(
        self, open_call: OpenCall, live: Live | None, opening: Opening | None = None
    ) -> None:
        open_call.keep_busy(self._sessions.busy(open_call.session, "running"))
        open_call.task = asyncio.create_task(
            self._driver.drive(open_call, live, opening), name=f"call:{open_call.id}"
        )

    def _ended(self, open_call: OpenCall, call: Call | None) -> None:
        """Let go of a call that is over, or leave it to a human when it is held again."""
        open_call.task = None
        if call is not None and call.state not in TERMINAL:
            open_call.let_idle()
            return
        self._open.pop(open_call.id, None)
        if call is None:
            open_call.fail(GoneError(f"call {open_call.id} is not stored any more"))
        else:
            open_call.finish(call)

    def _settled(self, call_id: CallId) -> None:
        """Go on with a call that is held no more: start it, or tell that it is over."""
        call = self._stored(call_id)
        open_call = self._open.get(call_id) or self._remember(call, is_patient=True)
        if call.state in TERMINAL:
            self._ended(open_call, call)
        elif open_call.task is None:
            self._drive(open_call, None)

    def _cancel_all(self, session: SessionName) -> None:
        """Cancel what waits in a session that was removed: another one of its name is not it."""
        for call in self._store.calls(session, OPEN, MAX_OPEN):
            self._cancel(call.id, "its session was removed", "the session's end")

    def _stop_caller(self, approval: Approval, reason: str) -> None:
        """Cancel what else the caller of a denied call has open in that session."""
        for call in self._store.calls(approval.session, OPEN, MAX_OPEN):
            if (call.client, call.uid) == (approval.client, approval.uid):
                self._cancel(call.id, f"stopped with a denied call: {reason}", "a decision")

    def _cancel(self, call_id: CallId, reason: str, by: str) -> None:
        call = self._stored(call_id)
        if call.state is CallState.HELD:
            self._approvals.cancel(call, reason, by)
            return
        open_call = self._open.get(call_id)
        if call.state in TERMINAL or open_call is None:
            return
        self._journal.ask_to_cancel(call, reason)
        open_call.interrupt(reason)

    def _release_again(self, session: SessionName, live: Live) -> None:
        """Let a guest forget the calls that are stored, which a kill may have prevented."""
        for call in self._store.calls(session, TERMINAL, _RELEASE_AGAIN):
            if call.container == live.container and call.boot == live.guest.info.boot:
                release(live.guest, call)

    async def _input_of(self, call_id: CallId) -> GuestCall:
        call = self._stored(call_id)
        open_call = self._open.get(call_id)
        if open_call is None or call.state in TERMINAL:
            raise ConflictError(f"call {call_id[:8]} is over ({call.state})")
        if call.state is CallState.HELD:
            raise ConflictError(f"call {call_id[:8]} is held and does not run yet")
        try:
            async with asyncio.timeout(_OPEN_WITHIN):
                await open_call.opened.wait()
        except TimeoutError:
            raise EngineDownError(f"call {call_id[:8]} cannot be reached now") from None
        if open_call.guest_call is None:
            raise ConflictError(f"call {call_id[:8]} is over")
        if not open_call.takes_input:
            raise ConflictError(
                f"call {call_id[:8]} was started without input",
                next_step="start it in the background, or with a pty",
            )
        return open_call.guest_call

    def _stored(self, call_id: CallId) -> Call:
        call = self._store.call(call_id)
        if call is None:
            raise NotFoundError(f"there is no call {call_id}")
        return call


def _check_key(key: str) -> None:
    if len(key) > _MAX_KEY or not key.isprintable():
        raise ArgumentsError(f"an idempotency key is at most {_MAX_KEY} printable characters")


def _asked_sha256(submit: Submit) -> str:
    body = submit.body.sha256 if submit.body else ""
    try:
        text = to_sorted_text([submit.tool, submit.args, body, submit.background])
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentsError(f"the arguments are not JSON: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()
