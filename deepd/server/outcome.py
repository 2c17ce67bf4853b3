"""What came of a call, as an answer: its output, or the error that stands for its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from deepd.daemon.outcome import error_of as failure_of
from deepd.errors import (
    CallLostError,
    CallTimeoutError,
    ConflictError,
    DeepdError,
    DeniedError,
    SandboxError,
)
from deepd.model.call import Call, CallState, Chunk
from deepd.server.services import Calls


def error_of(call: Call, output: bytes = b"") -> DeepdError | None:
    """Return the error that a call's end means to who asked for it; `None` when it succeeded."""
    match call.state:
        case CallState.FINISHED:
            return None
        case CallState.DENIED:
            why = f"{call.reason or 'denied'}" + (f" ({call.rule})" if call.rule else "")
            return DeniedError(why, next_step="nothing ran; ask for something else")
        case CallState.EXPIRED:
            return DeniedError(
                call.reason or "nobody decided in time", next_step="nothing ran; ask again"
            )
        case CallState.TIMED_OUT:
            return CallTimeoutError(
                call.reason or "it ran longer than it may",
                next_step="allow it more with `timeout`",
                output=output,
            )
        case CallState.LOST:
            return CallLostError(
                call.reason or "the container went away under the call",
                next_step="whether it had an effect is not known: look before you repeat it",
            )
        case CallState.CANCELLED:
            return ConflictError(f"cancelled: {call.reason}" if call.reason else "cancelled")
        case CallState.FAILED:
            return failure_of(call) or SandboxError(call.reason or "the sandbox could not do it")
        case _:
            return ConflictError(f"call {call.id} is {call.state}, and has no result yet")


class Output:
    """A call's kept output, gathered."""

    def __init__(self) -> None:
        self._pieces: list[Chunk] = []

    @classmethod
    async def of(cls, calls: Calls, call: Call) -> Output:
        """Gather the output of a call that ended."""
        gathered = cls()
        if call.output_size:
            async for chunk in calls.output(call.id):
                gathered._pieces.append(chunk)
        return gathered

    def stream(self, number: int) -> bytes:
        """Return one stream: 1 stdout, 2 stderr."""
        return b"".join(piece.data for piece in self._pieces if piece.stream == number)

    def both(self) -> bytes:
        """Return both streams in the order of arrival."""
        return b"".join(piece.data for piece in self._pieces)


async def follow(
    calls: Calls, call: Call, *, after: int = 0, held_line: float, paces: bool = False
) -> AsyncIterator[dict[str, Any] | Chunk]:
    """Yield output as it comes, now and then that the call is held, last how it ended."""
    if call.state is CallState.HELD:
        yield _held(call)
    output = calls.output(call.id, after=after, follow=True, paces=paces)
    async for chunk in _ticking(output, held_line):
        if chunk is not None:
            yield chunk
        elif (now := calls.get(call.id)).state is CallState.HELD:
            yield _held(now)
    ended = await calls.wait(call.id)
    line: dict[str, Any] = {"kind": "end", "call": ended}
    yield line


def _held(call: Call) -> dict[str, Any]:
    return {"kind": "held", "call": call.id, "rule": call.rule}


async def _ticking(chunks: AsyncIterator[Chunk], seconds: float) -> AsyncIterator[Chunk | None]:
    """Yield the chunks, and `None` whenever there was none for so many seconds."""
    upcoming: asyncio.Task[Chunk | None] | None = None
    try:
        while True:
            if upcoming is None:
                upcoming = asyncio.create_task(_next(chunks))
            await asyncio.wait({upcoming}, timeout=seconds)
            if not upcoming.done():
                yield None
                continue
            chunk = upcoming.result()
            upcoming = None
            if chunk is None:
                return
            yield chunk
    finally:
        if upcoming is not None:
            upcoming.cancel()


async def _next(chunks: AsyncIterator[Chunk]) -> Chunk | None:
    return await anext(chunks, None)
