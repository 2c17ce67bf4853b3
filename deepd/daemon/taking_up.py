"""Taking up: what the guest still has of a call that was sent before, and its end."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

from deepd.daemon.attachment import Live
from deepd.daemon.files import body_bytes
from deepd.daemon.outcome import Outcome, of_error
from deepd.daemon.reattach import LostForGoodError
from deepd.daemon.release import MAX_ATTEMPTS
from deepd.daemon.tools import MakeFolder, Remove, Rename, ToolRequest, WriteFile
from deepd.errors import FileError, GoneError
from deepd.guest.call import GuestCall
from deepd.guest.requests import Exit, How
from deepd.model.call import Call, CallState
from deepd.sandbox.edit import attempt_id
from deepd.sandbox.failure import file_error


async def follow(call: Call, live: Live, offset: int) -> GuestCall | None:
    """Take a call up in the guest; `None`: it never started there, so it may be sent."""
    try:
        return await live.guest.follow(call.id, offset=offset)
    except GoneError as error:
        raise LostForGoodError(error.detail) from error


async def take_up(
    call: Call, live: Live, request: ToolRequest, body: bytes | Path | None
) -> Outcome | None:
    """End a changing file tool that was interrupted; `None`: nothing of it was begun there."""
    for attempt in range(MAX_ATTEMPTS):
        guest_call = await follow(replace(call, id=attempt_id(call.id, attempt)), live, 0)
        if guest_call is None:
            break
        if guest_call.state == "running":
            await _go_on(guest_call, call, request, body)
        while await guest_call.read() is not None:
            pass
        end = await guest_call.wait()
        if end.how is How.FILE and end.errno == errno.ESTALE:
            continue
        return _of_file_exit(end, call)
    if attempt == 0:
        return None
    return of_error(FileError("the file changed meanwhile; nothing was written"))


async def _go_on(
    guest_call: GuestCall, call: Call, request: ToolRequest, body: bytes | Path | None
) -> None:
    """Write the rest of a file, or give up where what was being written is not known any more.

    What needs nothing more to end is only waited for.
    """
    if isinstance(request, MakeFolder | Remove | Rename):
        return
    if not isinstance(request, WriteFile) or (request.content is None and body is None):
        guest_call.kill(0)
        return
    if request.content is not None:
        await guest_call.write_stdin(request.content[guest_call.stdin_sent :])
    elif body is not None:
        async for piece in body_bytes(body, call, guest_call.stdin_sent):
            await guest_call.write_stdin(piece)
    await guest_call.close_stdin()


def _of_file_exit(end: Exit, call: Call) -> Outcome:
    path = str(call.args.get("path", ""))
    if end.how is How.FILE and not end.code:
        return Outcome(CallState.FINISHED, result={"path": path}, exit_code=0)
    return of_error(file_error(str(call.args.get("op", "write")), path, end))
