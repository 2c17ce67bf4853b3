"""Edit: replace text in a file, all of it or nothing, whoever else writes meanwhile."""

from __future__ import annotations

import hashlib

from deepd.errors import ArgumentsError, FileError
from deepd.guest.connection import Guest
from deepd.guest.requests import FileOp, Kind
from deepd.model.ids import CallId
from deepd.sandbox import files
from deepd.sandbox.failure import shown

_ATTEMPTS = 5


async def edit(
    guest: Guest,
    path: str,
    old: str,
    new: str,
    *,
    replace_all: bool = False,
    call_id: CallId | None = None,
) -> int:
    """Replace a text and return how often; the file must be what was read when it is written."""
    before, after = _encoded(old), _encoded(new)
    for attempt in range(_ATTEMPTS):
        record, data = await files.read_version(guest, path)
        count = occurrences(data, before, path, replace_all=replace_all)
        try:
            await files.write(
                guest,
                FileOp(Kind.WRITE, path, match=record.version),
                data.replace(before, after),
                call_id=attempt_id(call_id, attempt) if call_id else None,
            )
        except FileError as error:
            if error.errno_name != "ESTALE":
                raise
        else:
            return count
    raise FileError(
        f"cannot edit {shown(path)}: it changed {_ATTEMPTS} times meanwhile",
        next_step="try again when nothing else writes to it",
        errno_name="ESTALE",
    )


def occurrences(data: bytes, old: bytes, path: str, *, replace_all: bool) -> int:
    """Return how often the text is there; raise `ArgumentsError` when it cannot be meant."""
    if not old:
        raise ArgumentsError("the text to replace is empty")
    count = data.count(old)
    if count == 0:
        raise ArgumentsError(
            f"the text to replace is not in {shown(path)}",
            next_step="read the file again: it must match exactly, with white space",
        )
    if count > 1 and not replace_all:
        raise ArgumentsError(
            f"the text to replace is {count} times in {shown(path)}",
            next_step="give more of the lines around it, or replace all",
        )
    return count


def attempt_id(call_id: CallId, attempt: int) -> CallId:
    """Return the id under which an attempt writes: the call's own first, then ones made of it.

    The guest runs an id only once, and an attempt that found the file changed has used its own.
    """
    if attempt == 0:
        return call_id
    return CallId(hashlib.sha256(f"{call_id}:{attempt}".encode()).hexdigest()[:32])


def _encoded(text: str) -> bytes:
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise ArgumentsError("the text has a character that cannot be encoded") from error
