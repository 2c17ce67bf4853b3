"""Connection: the sandboxes of a daemon, where each call goes through its profile's policy."""

from __future__ import annotations

import os
import posixpath
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

from deepd.client.async_ import AsyncClient
from deepd.errors import FileError, ForbiddenError, SandboxStopped
from deepd.library.backend import AsyncBackend, told
from deepd.library.front import Backend
from deepd.library.live import Live
from deepd.library.loop import hand_over, run
from deepd.library.place import Place, checked_command, checked_timeout
from deepd.library.results import ExecuteResponse
from deepd.model.files import FileStat, Match
from deepd.model.ids import parse_session_name

_ALIVE = frozenset({"ready", "busy", "held"})


class ClientPlace:
    """A session of a daemon, reached over its socket."""

    def __init__(self, client: AsyncClient, session: str) -> None:
        self._client = client
        self._session = session
        self._work_dir = ""

    async def execute(self, command: str, timeout: float | None) -> ExecuteResponse:
        reply = await self._client.exec(
            self._session, checked_command(command), timeout=checked_timeout(timeout)
        )
        started, ended = reply.call.get("started_at"), reply.call.get("ended_at")
        return ExecuteResponse(
            output=reply.output.decode(errors="replace"),
            exit_code=-1 if reply.exit_code is None else reply.exit_code,
            truncated=reply.truncated,
            stdout=reply.stdout.decode(errors="replace"),
            stderr=reply.stderr.decode(errors="replace"),
            duration=ended - started if started and ended else 0.0,
        )

    def stream(self, path: str) -> AsyncIterator[bytes]:
        return self._client.download(self._session, path)

    async def read(self, path: str) -> bytes:
        return await self._client.read(self._session, path)

    async def write(self, path: str, data: bytes) -> str:
        await self._client.write(self._session, path, data)
        return await self._absolute(path)

    async def edit(self, path: str, old: str, new: str, *, replace_all: bool) -> tuple[str, int]:
        done = await self._client.edit(self._session, path, old, new, replace_all=replace_all)
        return await self._absolute(path), int(done["occurrences"])

    async def exists(self, path: str) -> bool:
        try:
            await self._client.stat(self._session, path)
        except FileError as error:
            if error.errno_name in {"ENOENT", "ENOTDIR"}:
                return False
            raise
        return True

    async def ls(self, path: str) -> list[FileStat]:
        return [_stat(entry) for entry in await self._client.ls(self._session, path)]

    async def glob(self, pattern: str, path: str) -> list[FileStat]:
        return [_stat(entry) for entry in await self._client.glob(self._session, pattern, path)]

    async def grep(
        self, pattern: str, path: str, *, glob: str | None, ignore_hidden: bool
    ) -> list[Match]:
        found = await self._client.grep(
            self._session, pattern, path, glob=glob, hidden=not ignore_hidden
        )
        return [Match(match["path"], match["line_number"], match["line"]) for match in found]

    async def _absolute(self, path: str) -> str:
        """Return a path from the root on, as far as it can be told without following links."""
        if not path.startswith("/"):
            self._work_dir = self._work_dir or await self._client.realpath(self._session, ".")
        return posixpath.normpath(posixpath.join(self._work_dir, path))


class AsyncDaemonSandbox(AsyncBackend):
    """A session of a daemon, for programs on asyncio; see `DaemonSandbox`."""

    def __init__(self, client: AsyncClient, session: str) -> None:
        self._client = client
        self._session = session
        self._where = ClientPlace(client, session)
        self._stopped = False

    @property
    def id(self) -> str:
        """The session's name."""
        return self._session

    @property
    def session_id(self) -> str:
        """The same as `id`."""
        return self._session

    async def start(self) -> None:
        """Have the daemon start it, also when it was stopped on purpose.

        Over the agents' socket, which may not do that, the next call starts what only went idle.
        """
        with told(), suppress(ForbiddenError):
            self._check()
            await self._client.start(self._session)

    async def is_alive(self) -> bool:
        """Ask whether its container runs and is ready."""
        if self._stopped:
            return False
        with told():
            return (await self._client.session(self._session))["state"] in _ALIVE

    async def stop(self) -> None:
        """Have the daemon stop it; the session and its workspace stay.

        Over the agents' socket, which may not do that, it ends for this object only.
        """
        if not self._stopped:
            self._stopped = True
            with told(), suppress(ForbiddenError):
                await self._client.stop(self._session)

    @asynccontextmanager
    async def _use(self) -> AsyncIterator[Place]:
        self._check()
        yield self._where

    def _check(self) -> None:
        if self._stopped:
            raise SandboxStopped(
                f"the session {self._session} was stopped here",
                next_step="get it from the connection again to go on",
            )


class DaemonSandbox(Backend[AsyncDaemonSandbox]):
    """A session of a daemon: the same operations, each under its profile's policy.

    A held call waits until a person has decided, and is taken back when its caller is interrupted,
    cancelled or killed, as a running one is ended; one that is denied raises `DeniedError`, and for
    a file operation is the error in the result. `stop()` stops the session for everybody; it and
    its workspace stay, and `start()` of another object, or `deepd start`, brings it back. Over the
    agents' socket both only concern this object.
    """

    @property
    def session_id(self) -> str:
        """The same as `id`."""
        return self._twin.session_id


class AsyncConnection(Live):
    """A daemon, for programs on asyncio; for one event loop."""

    def __init__(
        self, socket: str | os.PathLike[str] | None = None, *, name: str = "", timeout: float | None
    ) -> None:
        path = None if socket is None else os.fspath(socket)
        self.client = AsyncClient(path, name=name, timeout=timeout, cancel_when_gone=True)
        """All that the daemon can be asked."""

    async def get_or_create(
        self, session_id: str, profile: str | None = None
    ) -> AsyncDaemonSandbox:
        """Return a session's sandbox, opened where there is none; see `Connection`."""
        with told():
            session = await self.client.open_session(parse_session_name(session_id), profile)
        return AsyncDaemonSandbox(self.client, str(session["name"]))

    async def release(self, session_id: str, *, purge: bool = False) -> None:
        """Close a session and remove its container; with `purge` its workspace too."""
        with told():
            await self.client.close_session(parse_session_name(session_id), purge=purge)

    async def sessions(self) -> list[dict[str, Any]]:
        """Return all sessions of the daemon: name, profile, state and the rest of `deepd ps`."""
        with told():
            return await self.client.sessions()

    async def aclose(self) -> None:
        """Close the connections; sessions go on."""
        self.client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class Connection(Live):
    """A daemon and its sandboxes; may be used by any number of threads at once."""

    def __init__(self, twin: AsyncConnection) -> None:
        self._twin = twin

    def get_or_create(self, session_id: str, profile: str | None = None) -> DaemonSandbox:
        """Return a session's sandbox, opened where there is none.

        Without a profile it is the session's own, or the only one there is. Raises
        `BadRequestError` for what is no session name, `ConflictError` when the session has another
        profile, `ArgumentsError` when it takes a profile to choose, `DaemonDownError`.
        """
        return DaemonSandbox(run(self._twin.get_or_create(session_id, profile)))

    def release(self, session_id: str, *, purge: bool = False) -> None:
        """Close a session and remove its container; with `purge` its workspace too."""
        run(self._twin.release(session_id, purge=purge))

    def sessions(self) -> list[dict[str, Any]]:
        """Return all sessions of the daemon: name, profile, state and the rest of `deepd ps`."""
        return run(self._twin.sessions())

    def close(self) -> None:
        """Close the connections; sessions go on."""
        run(self._twin.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await hand_over(self._twin.aclose())


def connect(
    socket: str | os.PathLike[str] | None = None, *, name: str = "", timeout: float | None = None
) -> Connection:
    """Return a connection to the daemon at a socket, or to the user's own; asks it nothing yet.

    `name` is shown to the person who decides on held calls. `timeout` bounds the daemon's silence
    in seconds; `None` waits for as long as a call is held.
    """
    return Connection(connect_async(socket, name=name, timeout=timeout))


def connect_async(
    socket: str | os.PathLike[str] | None = None, *, name: str = "", timeout: float | None = None
) -> AsyncConnection:
    """Return the same for programs on asyncio."""
    return AsyncConnection(socket, name=name, timeout=timeout)


def _stat(entry: dict[str, Any]) -> FileStat:
    return FileStat(**entry)
