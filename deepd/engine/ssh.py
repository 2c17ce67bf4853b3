"""Ssh: a Unix socket of our own whose every connection is carried to an engine by the ssh program.

So the SDK and our own streams need to know nothing of it, and the user's keys, agent and
configuration are ssh's business. Each connection is itself the stdin and stdout of its ssh: nothing
is copied here, and there are no pipes that could be left open.
"""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from deepd.engine.endpoint import Endpoint
from deepd.errors import EngineDownError

_COMPLAINT = 2000
_BACKLOG = 64
_PAUSE = 0.2
_GRACE = 2.0
"""Seconds that ssh gets to send what is left when its connection was closed on our side."""


class Tunnel:
    """The socket and the processes behind it; belongs to the loop that opened it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._folder: Path | None = None
        self._listening: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._carrying: set[asyncio.Task[None]] = set()
        self.complaint = ""
        """What ssh said last when it did not get through."""

    async def open(self) -> Endpoint:
        """Listen, and return where: the endpoint to be used instead."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="deepd-ssh-"))  # only we may enter it
            self._listening = socket.socket(socket.AF_UNIX)
            self._listening.setblocking(False)  # noqa: FBT003 - the socket's own signature
            self._listening.bind(str(self._folder / "engine.sock"))
            self._listening.listen(_BACKLOG)
            self._accepting = asyncio.create_task(self._accept(self._listening))
        return replace(self._endpoint, path=str(self._folder / "engine.sock"))

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
        """End every connection, and wait until its ssh is gone."""
        tasks = [*self._carrying, *filter(None, [self._accepting])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listening is not None:
            self._listening.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._listening = self._folder = self._accepting = None

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(listening)
            except OSError as error:  # too many open files: others may be closed meanwhile
                self.complaint = str(error)
                await asyncio.sleep(_PAUSE)
                continue
            task = asyncio.create_task(self._serve(connection))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    async def _serve(self, connection: socket.socket) -> None:
        # Ours stays open until the complaint is known: the other side sees its end after that.
        with connection, tempfile.TemporaryFile() as said:
            try:
                self.complaint = await self._carry(connection, said)
            except OSError as error:
                self.complaint = f"{self._endpoint.ssh[0]} cannot be run: {error.strerror}"

    async def _carry(self, connection: socket.socket, said: IO[bytes]) -> str:
        """Return what ssh complained about in the end; empty when it got through."""
        connection.setblocking(True)  # noqa: FBT003 - the socket's own signature
        process = await asyncio.create_subprocess_exec(
            *self._endpoint.ssh,
            stdin=connection.fileno(),
            stdout=connection.fileno(),
            stderr=said.fileno(),
            start_new_session=True,
        )
        ending = asyncio.create_task(process.wait())
        try:
            with _closing(connection) as closing:
                first: set[asyncio.Future[Any]] = {ending, closing}
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({ending}, timeout=_GRACE)
        finally:
            is_over = ending.done()
            with suppress(ProcessLookupError):
                process.kill()
            code = await ending
        # Killed by us it has nothing to say: nobody listens any more.
        return _last_line(said) or f"ssh ended with {code}" if is_over and code else ""


@contextmanager
def _closing(connection: socket.socket) -> Iterator[asyncio.Future[None]]:
    """Yield what is done when the other end is closed: what is sent may be read by ssh only."""
    loop = asyncio.get_running_loop()
    closed: asyncio.Future[None] = loop.create_future()

    def note() -> None:
        if not closed.done():
            closed.set_result(None)

    with select.epoll() as poll:
        poll.register(connection, 0)  # no event but the end, of which the kernel always tells
        loop.add_reader(poll.fileno(), note)
        try:
            yield closed
        finally:
            loop.remove_reader(poll.fileno())
            closed.cancel()


def _last_line(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - _COMPLAINT))
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
