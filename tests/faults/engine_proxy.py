"""A proxy before the engine's socket that delays, cuts, half-closes, repeats, garbles or stalls."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

Kind = Literal["none", "delay", "stall", "cut", "half-close", "duplicate", "garble"]
Where = Literal["control", "stream"]

_DELAY = 0.15
_PIECE = 1 << 16


class EngineProxy:
    """One socket in front of another; every connection goes through the fault that is set.

    `control` are requests and their answers; `stream` is what follows an attach: the guest's own
    bytes in both directions.
    """

    def __init__(self, upstream: str, path: Path) -> None:
        self.path = path
        self.faults = 0
        """Pieces that went through a fault."""
        self._upstream = upstream
        self._kind: Kind = "none"
        self._where: Where = "control"
        self._loop = asyncio.new_event_loop()
        self._released = asyncio.Event()
        self._links: set[_Link] = set()
        self._server: asyncio.Server
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    @property
    def host(self) -> str:
        """What DOCKER_HOST is to be."""
        return f"unix://{self.path}"

    def start(self) -> None:
        """Take connections."""
        self._thread.start()
        serving = asyncio.start_unix_server(self._serve, self.path)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)

    def close(self) -> None:
        """Cut everything off."""
        self.set("none", "control")
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def set(self, kind: Kind, where: Where) -> None:
        """Put a fault in the place of the former one; what is stalled goes on."""

        async def change() -> None:
            self._kind, self._where = kind, where
            self._released.set()
            self._released = asyncio.Event()
            if kind in {"cut", "half-close"}:
                await self._cut(where, half=kind == "half-close")

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(10)

    async def apply(self, link: _Link, data: bytes) -> bytes | None:
        """Return what is to be passed on in the place of a piece; `None` ends the connection."""
        if self._kind == "none" or self._where != link.where:
            return data
        self.faults += 1
        match self._kind:
            case "delay":
                await asyncio.sleep(_DELAY)
            case "stall":
                await self._released.wait()
            case "cut" | "half-close":
                return None
            case "duplicate":
                return data + data if link.where == "stream" else data
            case "garble":
                return data[:-1] + bytes([data[-1] ^ 0x55]) if link.where == "stream" else data
            case _:
                pass
        return data

    async def _cut(self, where: Where | None, *, half: bool = False) -> None:
        for link in list(self._links):
            if where in {None, link.where}:
                link.end(half=half)

    async def _end(self) -> None:
        self._server.close()
        await self._cut(None)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=5)
        await asyncio.sleep(0)  # transports close a turn later

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(self._upstream)
        except OSError:
            writer.close()
            return
        link = _Link(self, (reader, writer), (far_reader, far_writer))
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection, from the daemon to the engine."""

    def __init__(self, proxy: EngineProxy, near: Ends, far: Ends) -> None:
        self.where: Where = "control"
        self._proxy = proxy
        self._near, self._far = near, far

    async def run(self) -> None:
        """Pass on until both sides have ended."""
        await asyncio.gather(
            self._pump(self._near[0], self._far[1], is_request=True),
            self._pump(self._far[0], self._near[1], is_request=False),
        )
        self.end()

    def end(self, *, half: bool = False) -> None:
        """Cut it off; `half`: only tell the daemon that nothing more comes."""
        with suppress(OSError, RuntimeError):
            if half and not self._near[1].is_closing():
                self._near[1].write_eof()
                return
            for _, writer in (self._near, self._far):
                writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_request: bool
    ) -> None:
        with suppress(OSError, RuntimeError):
            while data := await reader.read(_PIECE):
                became_stream = is_request and b"/attach" in data.partition(b"\r\n")[0]
                passed = await self._proxy.apply(self, data)
                if passed is None:
                    self.end()
                    return
                writer.write(passed)
                await writer.drain()
                if became_stream:
                    self.where = "stream"
            if writer.can_write_eof() and not writer.is_closing():
                writer.write_eof()
