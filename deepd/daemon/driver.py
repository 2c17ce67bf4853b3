"""Driver: takes one call from where it stands in the store to its end, over any interruption."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from deepd.daemon.admission import Admission
from deepd.daemon.attachment import Live, Sessions
from deepd.daemon.collect import Collector
from deepd.daemon.environment import call_env, secret_values
from deepd.daemon.files import CHANGING, MAX_READ, run_file_tool
from deepd.daemon.journal import Journal
from deepd.daemon.mask import Mask
from deepd.daemon.opencall import OpenCall
from deepd.daemon.outcome import Outcome, of_error, of_exit
from deepd.daemon.reattach import LostForGoodError, Reattach
from deepd.daemon.release import Releases
from deepd.daemon.taking_up import follow, take_up
from deepd.daemon.tools import (
    Execute,
    ToolRequest,
    parse_tool_request,
)
from deepd.errors import (
    CallLostError,
    CallTimeoutError,
    DeepdError,
    EngineDownError,
    EngineTimeoutError,
    GoneError,
    LimitError,
    NotFoundError,
)
from deepd.guest import requests as guest_requests
from deepd.guest.call import GuestCall
from deepd.guest.opening import Opening
from deepd.guest.requests import How
from deepd.model.body import Body
from deepd.model.call import TERMINAL, Call, CallState
from deepd.model.duration import render_duration
from deepd.model.profile import CONSOLE_TOOLS, Profile

logger = logging.getLogger(__name__)

_RETRY = 0.25
_SHOW_RUNNING = 0.03
"""A call that takes longer than that is noted as running."""
_LEAST_PATIENCE = 10.0
"""Seconds for a sandbox to start, however short the call."""
_ACK_EVERY = 64 << 10


class Driver:
    """Drives open calls; each has one task of its own."""

    def __init__(
        self,
        journal: Journal,
        admission: Admission,
        sessions: Sessions,
        reattach: Reattach,
        ended: Callable[[OpenCall, Call | None], None],
    ) -> None:
        self._journal = journal
        self._store = journal.store
        self._admission = admission
        self._sessions = sessions
        self._reattach = reattach
        self._ended = ended
        self._releases = Releases(sessions)

    def begin(self, call: Call, request: ToolRequest, live: Live) -> Opening | None:
        """Send a command that was just stored, so that it runs while its task is made.

        `None`: nothing was sent, and `drive()` does it or meets what is in the way.
        """
        if not isinstance(request, Execute):
            return None
        try:
            return live.guest.open(call.id, self._for_guest(call, request))
        except DeepdError as error:
            logger.info("call %s was not sent at once: %s", call.id, error)
            return None

    async def drive(
        self, open_call: OpenCall, live: Live | None, opening: Opening | None = None
    ) -> None:
        """Bring a call to its end, or to where a human must decide.

        `live` is the sandbox that a call in `sent` was just given to, by `begin()` where there is
        an `opening`; `None` takes a call up from the store.
        """
        try:
            outcome = await self._outcome(open_call, live, opening)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not open_call.cancel_reason or task is None:
                raise
            task.uncancel()
            outcome = Outcome(CallState.CANCELLED, open_call.cancel_reason)
        except DeepdError as error:
            outcome = of_error(error)
        except Exception as error:
            logger.critical("driving call %s failed", open_call.id, exc_info=error)
            outcome = of_error(DeepdError(f"deepd itself failed: {type(error).__name__}"))
        open_call.may_interrupt = False
        call = await self._end(open_call, outcome) if outcome else self._store.call(open_call.id)
        self._ended(open_call, call)

    async def _outcome(
        self, open_call: OpenCall, live: Live | None, opening: Opening | None
    ) -> Outcome | None:
        call = self._call(open_call)
        is_known = live is None
        if call.state in {CallState.APPROVED, CallState.ADMITTED}:
            if call.state is CallState.APPROVED and _is_foreign(call):
                return Outcome(CallState.FINISHED, result={"args": call.args})
            if not open_call.cancel_reason:
                open_call.may_interrupt = True
                live = await self._ready(open_call, call)
                open_call.may_interrupt = False
            if open_call.cancel_reason or live is None:
                return Outcome(CallState.CANCELLED, open_call.cancel_reason)
            admitted = await self._admission.admit(call, live)
            if admitted is None:
                return None
            call, is_known = admitted, False
        while True:
            if live is None:
                live = await self._reattach.wait(call)
            try:
                return await self._run(open_call, call, live, opening, is_known=is_known)
            except LostForGoodError:
                raise
            except CallLostError as error:
                logger.info("call %s lost its stream: %s", call.id, error)
                open_call.detach()
                live, opening, is_known = None, None, True

    async def _ready(self, open_call: OpenCall, call: Call) -> Live:
        """Wait for a sandbox, for about as long as the call itself may take.

        Nobody waits for a call in the background: it has all the time that its profile gives.
        """
        usual = self._sessions.profile_of(call.session).limits.timeout
        own = call.timeout or usual
        patience = max(own, usual if open_call.is_patient else _LEAST_PATIENCE)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while True:
            try:
                live = await self._sessions.ready(
                    call.session, within=max(0.1, deadline - loop.time())
                )
                if not live.guest.closed:
                    return live
            except (EngineDownError, EngineTimeoutError):
                if not open_call.is_patient or loop.time() >= deadline:
                    raise
            if loop.time() >= deadline:
                raise EngineTimeoutError(f"no sandbox within {render_duration(patience)}")
            await asyncio.sleep(_RETRY)

    async def _run(
        self,
        open_call: OpenCall,
        call: Call,
        live: Live,
        opening: Opening | None,
        *,
        is_known: bool,
    ) -> Outcome | None:
        profile = self._profile(call, is_sent=is_known or opening is not None)
        request = self._request(call, profile)
        if open_call.collector is None:
            open_call.collector = self._collector(call, profile, resumed=is_known)
        if isinstance(request, Execute):
            return await self._execute(open_call, call, live, request, opening, is_known=is_known)
        return await self._file_tool(open_call, call, live, request, is_known=is_known)

    def _profile(self, call: Call, *, is_sent: bool) -> Profile:
        """Return the profile in force; what runs already is heard to its end whatever it says."""
        try:
            profile = self._sessions.profile_of(call.session)
        except NotFoundError:
            if not is_sent:
                raise
            profile = Profile(name=call.profile, file=Path())
        taken = call.timeout or 0.0
        if not is_sent or taken <= profile.limits.max_timeout:
            return profile
        return replace(profile, limits=replace(profile.limits, max_timeout=taken))

    async def _execute(
        self,
        open_call: OpenCall,
        call: Call,
        live: Live,
        request: Execute,
        opening: Opening | None,
        *,
        is_known: bool,
    ) -> Outcome:
        collector = _collector_of(open_call)
        guest_call: GuestCall | None = None
        if is_known:
            guest_call = await follow(call, live, collector.flushed)
        if guest_call is None:
            if opening is None:
                if open_call.cancel_reason:
                    return Outcome(CallState.CANCELLED, open_call.cancel_reason)
                if is_known:
                    await self._admission.check_again(call, live)
                opening = live.guest.open(call.id, self._for_guest(call, request))
            guest_call = await opening
        takes_input = request.pty is not None or (call.background and request.stdin is None)
        open_call.attach(guest_call, input_is_open=takes_input)
        loop = asyncio.get_running_loop()
        shown = loop.call_later(_SHOW_RUNNING, self._show_running, open_call)
        feeding = None
        if request.stdin is not None:
            feeding = asyncio.create_task(_feed(guest_call, request.stdin), name=f"in:{call.id}")
        try:
            await self._collect(guest_call, collector)
            end = await guest_call.wait()
            if end.how is How.KILLED and not open_call.cancel_reason:
                # Nobody asked for that: its container is on its way out, by whose hand ever.
                raise LostForGoodError(f"its sandbox was ended under it: {end.note or 'killed'}")
            return of_exit(end, call)
        finally:
            shown.cancel()
            if feeding is not None:
                feeding.cancel()

    async def _collect(self, guest_call: GuestCall, collector: Collector) -> None:
        # A daemon that died may have stored more than it told the guest, whose window is then full.
        acknowledged = min(collector.flushed, guest_call.received)
        guest_call.ack(acknowledged)
        while (chunk := await guest_call.read()) is not None:
            collector.take(chunk)
            if collector.needs_flush():
                await self._flush(collector)
            await collector.wait_for_room()
            if collector.flushed - acknowledged >= _ACK_EVERY:
                acknowledged = collector.flushed
                guest_call.ack(min(acknowledged, chunk.offset + len(chunk.data)))
        collector.close()

    async def _flush(self, collector: Collector) -> None:
        """Write output to disk; on a full one wait, so that the command waits too."""
        while True:
            try:
                collector.flush()
                return
            except LimitError as error:
                logger.warning("output waits: %s", error)
                await asyncio.sleep(_RETRY)

    async def _file_tool(
        self, open_call: OpenCall, call: Call, live: Live, request: ToolRequest, *, is_known: bool
    ) -> Outcome | None:
        changes = call.tool in CHANGING
        open_call.may_interrupt = not changes
        if open_call.cancel_reason and not changes:
            return Outcome(CallState.CANCELLED, open_call.cancel_reason)
        body = self._store.body(call.id) if call.body_sha256 else None
        try:
            async with asyncio.timeout(call.timeout):
                if is_known and changes:
                    outcome = await take_up(call, live, request, body)
                    if outcome is not None:
                        return outcome
                    await self._admission.check_again(call, live)
                collector = _collector_of(open_call)
                sealed, open_call.sealed = open_call.sealed, None
                result = await run_file_tool(live.sandbox, request, call, collector, sealed or body)
        except TimeoutError:
            limit = render_duration(call.timeout or 0.0)
            return of_error(CallTimeoutError(f"{call.tool} took longer than {limit}"))
        collector.close()
        return Outcome(CallState.FINISHED, result=result)

    async def _end(self, open_call: OpenCall, outcome: Outcome) -> Call | None:
        """Store the end, however long the disk is full, and only then let the guest forget it."""
        while (was := open_call.known or self._store.call(open_call.id)) is not None:
            if was.state in TERMINAL:
                return was
            call = self._journal.ended(was, outcome, open_call.collector)
            if _may_be_answered(open_call, call):
                open_call.answer(call)
                # Two turns of the loop: one in which the answer is made, one in which it is sent.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            try:
                stored = self._journal.end(was, call, open_call.collector)
            except LimitError as error:
                logger.warning("the end of call %s waits: %s", open_call.id, error)
                await asyncio.sleep(_RETRY)
                stored = None
            open_call.known = None
            if stored is not None:
                self._releases.add(stored)
                return stored
        return None

    def _show_running(self, open_call: OpenCall) -> None:
        open_call.known = None
        with contextlib.suppress(LimitError):
            self._journal.run(open_call.id)

    def _call(self, open_call: OpenCall) -> Call:
        call = open_call.known or self._store.call(open_call.id)
        if call is None:
            raise GoneError(f"call {open_call.id} is not stored any more")
        return call

    def _request(self, call: Call, profile: Profile) -> ToolRequest:
        """Return what runs, from the stored row and nothing else."""
        body = Body(call.body_size, call.body_sha256) if call.body_sha256 else None
        return parse_tool_request(
            call.tool, call.args, profile.limits, body=body, timeout=call.timeout
        )

    def _for_guest(self, call: Call, request: Execute) -> guest_requests.Execute:
        profile = self._sessions.profile_of(call.session)
        env = call_env(profile) | request.env
        return guest_requests.Execute(
            args=request.words,
            shell=request.shell,
            env=env,
            cwd=request.cwd,
            pty=request.pty,
            stdin=request.stdin is not None or request.pty is not None or call.background,
            timeout=call.timeout,
            output_kill=0 if request.pty else profile.limits.output_kill,
        )

    def _collector(self, call: Call, profile: Profile, *, resumed: bool) -> Collector:
        keep = MAX_READ if call.tool != "execute" else profile.limits.output
        mask = Mask(secret_values([profile]))
        if resumed and call.tool == "execute":
            return Collector.resume(self._store, call.id, keep, mask)
        # A file tool begins again, so what a former run had put aside is in the way.
        if resumed:
            self._store.spool.output_path(call.id).unlink(missing_ok=True)
        return Collector(self._store, call.id, keep, mask)


async def _feed(guest_call: GuestCall, data: bytes) -> None:
    """Write what the guest does not have yet of a call's input, and its end."""
    with contextlib.suppress(CallLostError):
        await guest_call.write_stdin(data[guest_call.stdin_sent :])
        await guest_call.close_stdin()


def _collector_of(open_call: OpenCall) -> Collector:
    if open_call.collector is None:
        raise RuntimeError(f"call {open_call.id} runs without a collector")
    return open_call.collector


def _may_be_answered(open_call: OpenCall, call: Call) -> bool:
    """Whether a call's end may be told before it is stored.

    What ran well, and is in memory: should the daemon be killed in between, then the guest has the
    result still, and what is stored at the next start is just that.
    """
    collector = open_call.collector
    is_here = collector is not None and not collector.spooled_size
    return open_call.has_asking and call.state is CallState.FINISHED and is_here


def _is_foreign(call: Call) -> bool:
    return call.tool not in CONSOLE_TOOLS
