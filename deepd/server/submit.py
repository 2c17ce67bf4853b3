"""Submitting a call on behalf of a request, and waiting for it where the caller waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from deepd.daemon.calls import Submit
from deepd.errors import GoneError, NotFoundError
from deepd.model.body import Body
from deepd.model.call import OPEN, Call
from deepd.model.ids import parse_profile_name
from deepd.server.outcome import Output, error_of
from deepd.server.request import (
    caller_of,
    given_up_when_gone,
    goes_with_caller,
    idempotency_key,
    peer_of,
    session_made,
)
from deepd.server.services import Services
from deepd.server.sessions import session_of
from deepd.wire.models import ExecRequest, SubmitCall

if TYPE_CHECKING:
    from starlette.requests import Request


async def submit_call(
    services: Services,
    request: Request,
    tool: str,
    args: Mapping[str, Any],
    *,
    options: SubmitCall | ExecRequest | None = None,
    body: Body | None = None,
) -> Call:
    """Store a call of the session that the path names, and have it begun, held or denied."""
    _check_session(services, request)
    profile = options.profile if options else None
    submit = Submit(
        session=session_of(request),
        profile=None if profile is None else parse_profile_name(profile),
        tool=tool,
        args=dict(args),
        body=body,
        timeout=options.timeout if options else None,
        background=options is not None and options.background,
        idempotency_key=idempotency_key(request),
    )
    return await services.calls.submit(submit, caller_of(request))


async def run_call(
    services: Services,
    request: Request,
    tool: str,
    args: Mapping[str, Any],
    body: Body | None = None,
) -> Call:
    """Make a call, wait for its end, and raise what it means when it is no success."""
    call = await submit_call(services, request, tool, args, body=body)
    if call.state in OPEN:
        call = await wait_for_end(services, request, call)
    await raise_unless_finished(services, call)
    return call


async def wait_for_end(services: Services, request: Request, call: Call) -> Call:
    """Return a call when it is over; when its caller goes away first, it stands unless told to."""
    try:
        with given_up_when_gone(request):
            return await services.calls.answer(call.id)
    except (asyncio.CancelledError, ClientDisconnect):
        if goes_with_caller(request) and peer_of(request).is_gone:
            await services.calls.cancel(call.id, caller_of(request), "its caller went away")
        raise


def _check_session(services: Services, request: Request) -> None:
    """Raise `GoneError` where the caller means a session that was removed; none is made for it."""
    made = session_made(request)
    if made is None:
        return
    name = session_of(request)
    try:
        view = services.sessions.view(name)
    except NotFoundError:
        view = None
    if view is None or view.created_at != made or view.state == "closing":
        raise GoneError(f"the session {name} was removed", next_step="open another one")


async def raise_unless_finished(services: Services, call: Call) -> None:
    """Raise the error that a call's end means, with what it had printed."""
    if (error := error_of(call)) is None:
        return
    printed = (await Output.of(services.calls, call)).both()
    raise error_of(call, printed) or error
