"""A reply whose bytes are in a file of the spool: the kernel sends them from there."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from deepd.server.limits import Limits
from deepd.server.reply import Headers
from deepd.server.request import given_up_when_gone

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from deepd.model.files import Extent, SpooledOutput

_TURNS = 8
"""Turns of the loop in which what was written before is usually sent."""
_PAUSE = 0.005


class Spooled:
    """A reply in chunks, each of them the bytes of one record."""

    def __init__(
        self, output: SpooledOutput, kind: str, status: int, headers: Headers, limits: Limits
    ) -> None:
        self._output = output
        self._status = status
        self._headers = [(b"content-type", kind.encode()), *headers]
        self._stalled = limits.stalled

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self._status, "headers": self._headers}
        transport = scope["state"]["peer"].joined
        with self._output.file, given_up_when_gone(Request(scope)):
            await send(start)
            for extent in self._output.extents:
                # uvicorn's own chunks, written past it: their bytes are never in this process.
                transport.write(b"%x\r\n" % extent.length)
                await self._send(transport, extent)
                transport.write(b"\r\n")
        await send({"type": "http.response.body", "body": b""})

    async def _send(self, transport: Any, extent: Extent) -> None:
        await _all_written(transport)
        socket = os.dup(transport.get_extra_info("socket").fileno())
        try:
            at, end = extent.at, extent.at + extent.length
            while at < end:
                try:
                    at += _some(os.sendfile(socket, self._output.file.fileno(), at, end - at))
                except BlockingIOError:
                    await _writable(socket, self._stalled)
        except (EOFError, TimeoutError):
            transport.abort()
            raise
        finally:
            os.close(socket)


def _some(sent: int) -> int:
    if not sent:
        raise EOFError("what is kept of a call became shorter while it was sent")
    return sent


async def _all_written(transport: Any) -> None:
    """Wait until what was written to a transport has left it."""
    turns = 0
    while transport.get_write_buffer_size():
        turns += 1
        await asyncio.sleep(0 if turns < _TURNS else _PAUSE)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _writable(socket: int, within: float) -> None:
    """Wait for room in a socket; raise `TimeoutError` when its reader takes too long."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(socket, _wake, ready)
    try:
        async with asyncio.timeout(within):
            await ready
    finally:
        loop.remove_writer(socket)
