"""Routes for calls: any tool, a command, and what came of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepd.errors import NotFoundError, TooLargeError
from deepd.model.call import OPEN, Call
from deepd.model.ids import SessionName
from deepd.server.endpoint import Endpoint
from deepd.server.failures import BODY, CALL, NAMED
from deepd.server.outcome import follow
from deepd.server.parameter import CLIENT, MAKES_A_CALL, SESSION, Parameter, flag, number
from deepd.server.replies import CallList, Done
from deepd.server.reply import (
    NDJSON,
    OCTETS,
    Whole,
    empty_reply,
    json_reply,
    location,
    output_reply,
)
from deepd.server.request import (
    caller_of,
    given_up_when_gone,
    peer_of,
    query_flag,
    query_number,
    query_seconds,
    query_session,
    read_bytes,
    read_model,
    refuse_agents,
    wants_no_wait,
)
from deepd.server.services import Services
from deepd.server.submit import submit_call, wait_for_end
from deepd.wire.models import CancelRequest, PtySize, SubmitCall

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

_ONE = "/v1/calls/{call}"
_ID_LENGTH = 32
_LONGEST_WAIT = 3600.0
_MOST_CALLS = 10_000


class CallRoutes:
    """Calls by id, and the form that takes any tool."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._calls = services.calls

    def endpoints(self) -> list[Endpoint]:
        """Return the table's lines."""
        return [
            Endpoint(
                "POST",
                "/v1/sessions/{session}/calls",
                self.submit,
                "Make any call; waits for its end unless Prefer: respond-async",
                body=SubmitCall,
                reply=Call,
                taken=Call,
                parameters=MAKES_A_CALL,
                fails=CALL,
            ),
            Endpoint(
                "GET",
                "/v1/calls",
                self.all,
                "Calls, newest first",
                reply=CallList,
                parameters=(SESSION, flag("open"), number("limit", highest=_MOST_CALLS)),
            ),
            Endpoint(
                "GET",
                _ONE,
                self.one,
                "One call; with wait its end, if it comes within so many seconds",
                reply=Call,
                parameters=(Parameter("wait", {"type": "number", "minimum": 0}),),
                fails=NAMED,
            ),
            Endpoint(
                "GET",
                f"{_ONE}/output",
                self.output,
                "What it printed, as NDJSON; follow=1 until it ends; bytes=raw as for exec",
                reply=NDJSON,
                parameters=(number("after"), flag("follow")),
                fails=NAMED,
            ),
            Endpoint(
                "GET",
                f"{_ONE}/body",
                self.body,
                "What came as the body of an open call, for the person who decides",
                operator_only=True,
                reply=OCTETS,
                fails=(*NAMED, "gone", "too-large"),
            ),
            Endpoint(
                "POST",
                f"{_ONE}/cancel",
                self.cancel,
                "End it",
                body=CancelRequest,
                reply=Call,
                parameters=(CLIENT,),
                fails=(*NAMED, *BODY),
            ),
            Endpoint(
                "POST",
                f"{_ONE}/stdin",
                self.stdin,
                "Write to its stdin: raw bytes",
                reply=Done,
                raw=True,
                parameters=(flag("eof"),),
                fails=(*NAMED, *BODY, "conflict", "lost", "sandbox"),
            ),
            Endpoint(
                "POST",
                f"{_ONE}/resize",
                self.resize,
                "Its pty's size",
                body=PtySize,
                reply=Done,
                fails=(*NAMED, *BODY, "conflict", "lost", "sandbox"),
            ),
        ]

    async def submit(self, request: Request) -> ASGIApp:
        wanted = await read_model(request, SubmitCall, self._services.limits)
        call = await submit_call(self._services, request, wanted.tool, wanted.args, options=wanted)
        if call.state in OPEN:
            if wanted.background or wants_no_wait(request):
                return json_reply(call, 202, location(f"/v1/calls/{call.id}"))
            call = await wait_for_end(self._services, request, call)
        return json_reply(call)

    async def all(self, request: Request) -> ASGIApp:
        session = self._session(request)
        calls = self._calls.list(
            session,
            open_only=query_flag(request, "open"),
            limit=query_number(request, "limit", 100, highest=_MOST_CALLS),
        )
        return json_reply(CallList(calls=calls))

    async def one(self, request: Request) -> ASGIApp:
        call = self._call(request)
        seconds = query_seconds(request, "wait", _LONGEST_WAIT)
        if seconds and call.state in OPEN:
            with given_up_when_gone(request):
                call = await self._wait(call, seconds)
        return json_reply(call)

    async def output(self, request: Request) -> ASGIApp:
        call = self._call(request)
        after = query_number(request, "after", 0)
        if query_flag(request, "follow"):
            every = self._services.limits.held_line
            return output_reply(request, follow(self._calls, call, after=after, held_line=every))
        return output_reply(request, self._calls.output(call.id, after=after))

    async def body(self, request: Request) -> ASGIApp:
        call = self._call(request)
        if call.body_size > self._services.limits.in_memory:
            raise TooLargeError(
                f"the body has {call.body_size} bytes, too many to be shown",
                next_step="compare its sha256 with the file that it is said to be",
            )
        return Whole(self._calls.asked_body(call), OCTETS)

    async def cancel(self, request: Request) -> ASGIApp:
        call = self._call(request)
        wanted = await read_model(request, CancelRequest, self._services.limits)
        await self._calls.cancel(call.id, caller_of(request), wanted.reason)
        return json_reply(self._calls.get(call.id))

    async def stdin(self, request: Request) -> ASGIApp:
        call = self._call(request)
        limits = self._services.limits
        data = await read_bytes(request, limits.in_memory, limits.body_seconds)
        with given_up_when_gone(request):
            await self._calls.stdin(call.id, data, eof=query_flag(request, "eof"))
        return empty_reply()

    async def resize(self, request: Request) -> ASGIApp:
        call = self._call(request)
        size = await read_model(request, PtySize, self._services.limits)
        await self._calls.resize(call.id, size.rows, size.cols)
        return empty_reply()

    def _call(self, request: Request) -> Call:
        return call_of(self._services, request)

    def _session(self, request: Request) -> SessionName | None:
        """Return which session's calls are asked for; agents name theirs."""
        session = query_session(request)
        if session is None:
            refuse_agents(request)
        return session

    async def _wait(self, call: Call, seconds: float) -> Call:
        try:
            return await self._calls.wait(call.id, timeout=seconds)
        except TimeoutError:
            return self._calls.get(call.id)


def call_of(services: Services, request: Request) -> Call:
    """Return the call that the path names; agents know theirs by its whole id."""
    call_id = request.path_params["call"]
    if peer_of(request).role != "operator" and len(call_id) != _ID_LENGTH:
        raise NotFoundError(f"no call {call_id[:80]}", next_step="use the call's whole id")
    return services.calls.get(call_id)
