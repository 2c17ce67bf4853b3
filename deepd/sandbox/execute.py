"""Execute: run a command in a sandbox and collect what it prints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from dataclasses import dataclass, replace

from deepd.guest.call import GuestCall
from deepd.guest.connection import Guest
from deepd.guest.requests import Execute, Exit
from deepd.model.call import Chunk
from deepd.model.ids import CallId, new_call_id
from deepd.sandbox.output import chunks

Input = bytes | AsyncIterable[bytes]


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command ended and the beginning of what it printed."""

    stdout: bytes
    stderr: bytes
    output: bytes
    """Both streams in the order of arrival."""
    exit: Exit
    truncated: bool
    """It printed more than was kept."""
    size: int
    """Bytes printed in all, kept or not."""


async def execute(
    guest: Guest,
    request: Execute,
    *,
    call_id: CallId | None = None,
    stdin: Input | None = None,
    keep: int = 1 << 20,
) -> ExecResult:
    """Run a command to its end; without an id it is made here, and ended when this is cancelled.

    With an id the caller decides what becomes of the call: nothing is killed or released here.
    """
    own_id = call_id or new_call_id()
    try:
        call = await guest.open(own_id, replace(request, stdin=True) if stdin else request)
        if stdin:
            result = await _collect_while_feeding(call, stdin, keep)
        else:
            result = await _collect(call, keep)
    except BaseException:
        if call_id is None:
            guest.abandon(own_id)
        raise
    if call_id is None:
        guest.release(own_id)
    return result


async def _collect_while_feeding(call: GuestCall, stdin: Input, keep: int) -> ExecResult:
    feeding = asyncio.create_task(_feed_or_kill(call, stdin), name="stdin")
    try:
        result = await _collect(call, keep)
    finally:
        # The command may end without reading all of its input.
        feeding.cancel()
        await asyncio.wait((feeding,))
    if not feeding.cancelled() and (error := feeding.exception()):
        raise error
    return result


async def _feed_or_kill(call: GuestCall, stdin: Input) -> None:
    try:
        await feed(call, stdin)
    except Exception:
        # The command would wait for the rest of its input.
        call.kill(0)
        raise


async def feed(call: GuestCall, stdin: Input) -> None:
    """Write all of the input and end it."""
    if isinstance(stdin, bytes):
        await call.write_stdin(stdin)
    else:
        async for piece in stdin:
            await call.write_stdin(piece)
    await call.close_stdin()


async def _collect(call: GuestCall, keep: int) -> ExecResult:
    kept: list[Chunk] = []
    room = keep
    async for chunk in chunks(call):
        if room > 0:
            kept.append(chunk if len(chunk.data) <= room else _cut(chunk, room))
            room -= len(kept[-1].data)
    end = await call.wait()
    output = b"".join(chunk.data for chunk in kept)
    stderr = b"".join(chunk.data for chunk in kept if chunk.stream == 2)
    stdout = b"".join(chunk.data for chunk in kept if chunk.stream == 1) if stderr else output
    return ExecResult(stdout, stderr, output, end, truncated=end.size > keep, size=end.size)


def _cut(chunk: Chunk, size: int) -> Chunk:
    return replace(chunk, data=chunk.data[:size])
