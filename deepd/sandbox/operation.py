"""Operation: one file operation of a guest from its start to its end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from deepd.guest.call import GuestCall
from deepd.guest.connection import Guest
from deepd.guest.opening import NotGivenError
from deepd.guest.records import Record
from deepd.guest.requests import READ_ONLY, Exit, FileOp, How
from deepd.model.ids import CallId, new_call_id
from deepd.model.sealed import Sealed
from deepd.sandbox.execute import Input, feed
from deepd.sandbox.failure import file_error
from deepd.sandbox.output import OutputReader


@asynccontextmanager
async def reading(guest: Guest, operation: FileOp, action: str) -> AsyncIterator[OutputReader]:
    """Read what an operation that changes nothing answers; raise `FileError` when it failed.

    Whoever leaves early, by an error or having seen enough, ends it.
    """
    call = await guest.open(None, operation)
    try:
        reader = OutputReader(call)
        yield reader
        if reader.ended:
            check(await call.wait(), operation, action)
    finally:
        if not call.ended:
            call.abandon()
        if (left := call.passed_file()) is not None:
            os.close(left)


async def perform(
    guest: Guest,
    operation: FileOp,
    action: str,
    *,
    call_id: CallId | None = None,
    content: Input | Sealed | None = None,
) -> Record | None:
    """Do something once and return the record that it answers with, if it does.

    Without an id one is made and released here; with an id its owner releases it.
    """
    own_id = None if operation.kind in READ_ONLY else call_id or new_call_id()
    call = None
    if own_id is not None and isinstance(content, Sealed):
        call = await _open_given(guest, own_id, operation, content)
    is_given = call is not None
    call = call or await guest.open(own_id, operation)
    try:
        if content is not None and not is_given:
            await feed(call, content.pieces() if isinstance(content, Sealed) else content)
        record = await OutputReader(call).only_record()
        end = await call.wait()
    except BaseException:
        if own_id is None:
            call.abandon()
        elif call_id is None:
            guest.abandon(own_id)
        raise
    if own_id is not None and call_id is None:
        guest.release(own_id)
    check(end, operation, action)
    return record


async def _open_given(
    guest: Guest, call_id: CallId, operation: FileOp, content: Sealed
) -> GuestCall | None:
    """Ask for a write that is given its bytes; `None`: nothing was done, send them."""
    given = replace(operation, given=content.inode)
    opening = guest.open_given(call_id, given, content.descriptor)
    if opening is None:
        return None
    try:
        return await opening
    except NotGivenError:
        guest.pass_no_more()
        return None


def check(end: Exit, operation: FileOp, action: str) -> None:
    """Raise `FileError` when the operation did not succeed."""
    if end.how is not How.FILE or end.code:
        raise file_error(action, operation.path, end)
