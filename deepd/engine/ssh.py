"""Ssh: a Unix socket of our own whose every connection is carried to an engine by the ssh program.

So the SDK and our own streams need to know nothing of it, and the user's keys, agent and
configuration are ssh's business.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from deepd.engine.endpoint import Endpoint
from deepd.engine.fault import down
from deepd.errors import EngineDownError

_PIECE = 64 * 1024
_COMPLAINT = 2000


class Tunnel:
    """The socket and the processes behind it; belongs to the loop that opened it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()
        self.complaint = ""
        """What ssh said last when it did not get through."""

    async def open(self) -> Endpoint:
        """Listen, and return where: the endpoint to be used instead."""
        if self._server is None:
            self._folder = Path(tempfile.mkdtemp(prefix="deepd-ssh-"))  # only we may enter it
            path = str(self._folder / "engine.sock")
            self._server = await asyncio.start_unix_server(self._serve, path)
        return replace(self._endpoint, path=str(self._folder and self._folder / "engine.sock"))

    def error(self) -> EngineDownError | None:
        """Return why ssh did not get through; `None` when it did."""
        if not self.complaint:
            return None
        host = self._endpoint.ssh[self._endpoint.ssh.index("--") + 1]
        return EngineDownError(
            f"no container engine answers at {self._endpoint.url}: {self.complaint}",
            next_step=f"make `ssh {host} docker version` work without a question",
        )

    async def aclose(self) -> None:
        """End every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._carrying):
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._server = self._folder = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._carrying.add(task)
        try:
            await self._carry(reader, writer)
        except OSError as error:
            self.complaint = str(error)
        except asyncio.CancelledError:
            pass  # we are being closed: an end like any other
        finally:
            writer.transport.abort()
            if task is not None:
                self._carrying.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self._endpoint.ssh, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        if stdin is None or stdout is None or stderr is None:
            raise down(self._endpoint.url, OSError("ssh has no pipes"))
        sending = asyncio.create_task(_copy(reader, stdin))
        hearing = asyncio.create_task(stderr.read(_COMPLAINT))
        try:
            if not await _copy(stdout, writer):
                said = (await hearing).decode(errors="replace").strip().splitlines()
                self.complaint = said[-1] if said else "ssh ended without a word"
            else:
                self.complaint = ""
        finally:
            for task in (sending, hearing):
                task.cancel()
            await asyncio.gather(sending, hearing, return_exceptions=True)
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Copy to the end, end the other side, and return how much it was."""
    size = 0
    with suppress(OSError):
        while piece := await reader.read(_PIECE):
            size += len(piece)
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    return size
