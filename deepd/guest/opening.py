"""Opening: a call that was sent to a guest, before the guest has said whether it takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from deepd.errors import ArgumentsError, ConflictError, LimitError, ProtocolError
from deepd.guest import fields
from deepd.guest.call import GuestCall

Answer = asyncio.Future[bytes]


class NotGivenError(Exception):
    """A descriptor did not come with its frame; nothing was done."""


class Opening:
    """Awaiting it gives the call, once the guest has taken it; see `Guest.open()`."""

    __slots__ = ("_answer", "_call", "_drain", "_forget")

    def __init__(
        self,
        call: GuestCall,
        answer: Answer,
        drain: Callable[[], Awaitable[None]] | None,
        forget: Callable[[GuestCall], None],
    ) -> None:
        self._call = call
        self._answer = answer
        self._drain = drain
        self._forget = forget

    def __await__(self) -> Generator[Any, None, GuestCall]:
        return self._opened().__await__()

    async def _opened(self) -> GuestCall:
        try:
            if self._drain is not None:
                await self._drain()
            answer = await self._answer
        except asyncio.CancelledError:
            if self._call.id is None:
                self._call.abandon()
            raise
        status = int.from_bytes(answer[:4], "little")
        if status:
            self._forget(self._call)
            raise _refusal(status, fields.text(answer[4:]))
        return self._call


def _refusal(status: int, text: str) -> Exception:
    if status == 1:
        return ConflictError(text or "the sandbox has seen this call before")
    if status == 2:
        return LimitError(text or "the sandbox has too many open calls", next_step="try later")
    if status == 4:
        return NotGivenError(text or "the sandbox did not get the bytes of the request")
    if status == 3:
        return ArgumentsError(text or "the sandbox refused the request")
    return ProtocolError(f"the guest answered a request with status {status}")
