"""A workspace of pydantic-ai's in a session of the daemon's: commands, files and real paths."""

from __future__ import annotations

import asyncio
import posixpath
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic_ai.workspaces import (
    CommandResult,
    FileEntry,
    SupportsCommands,
    SupportsFilesystem,
    SupportsRealpath,
    WorkspaceBackend,
    WorkspaceCommand,
    WorkspaceRef,
    WorkspaceUnavailableError,
)
from pydantic_ai.workspaces.protocol import WorkspaceError, validate_timeout

from deepd.client.async_ import AsyncClient
from deepd.config import paths
from deepd.errors import NotFoundError
from deepd.integrations.pydantic_ai.command import Command
from deepd.integrations.pydantic_ai.trouble import translated

if TYPE_CHECKING:
    from pathlib import Path

PROVIDER = "deepd"
PREFIX = "agent-"
"""What the names of sessions begin with that are made for a run."""


class DeepdWorkspaceBackend(
    WorkspaceBackend, SupportsCommands, SupportsFilesystem, SupportsRealpath
):
    """Works in one session; built without I/O, it opens or finds the session at first use.

    `session` names the session to get or make; without it a new one is made, `agent-…`. `ref`
    attaches to the session that it names, and to no other of that name: when it was removed,
    `WorkspaceUnavailableError` is raised. The session stays when a run ends; `deepd rm` ends it.

    What the profile holds waits for a person like every call; `WorkspaceDeniedError`, a
    `PermissionError`, tells of what was denied. `socket_path` is the daemon's agents' socket when
    left out, and `name` is what a person sees of who asks.
    """

    def __init__(
        self,
        *,
        profile: str | None = None,
        session: str | None = None,
        ref: WorkspaceRef | None = None,
        socket_path: Path | str | None = None,
        name: str = "",
    ) -> None:
        self._profile = profile
        self._session = session
        self._ref = ref
        self._socket_path = socket_path
        self._name = name
        self._client: AsyncClient | None = None
        self._opening: asyncio.Task[AsyncClient] | None = None
        self._working_dir = ""

    @property
    def ref(self) -> WorkspaceRef | None:
        """The session's name and when it was made; `None` until it was opened."""
        return self._ref

    @property
    def session(self) -> str:
        """The name of the session; empty until it is known."""
        return session_name(self._ref) if self._ref else self._session or ""

    def close(self) -> None:
        """Close the connections that are kept for later; the backend stays usable."""
        if self._client is not None:
            self._client.close()

    async def working_dir(self) -> str:
        """Return the folder in which commands start, without links."""
        if not self._working_dir:
            client = await self._attached()
            with translated("."):
                self._working_dir = await client.realpath(self.session, ".")
        return self._working_dir

    async def run(
        self,
        command: WorkspaceCommand,
        *,
        shell: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> CommandResult:
        """Run a command to its end; the profile's own limits hold beside `timeout`."""
        words = _checked_command(command, shell=shell)
        validate_timeout(timeout)
        client = await self._attached()
        with translated():
            try:
                return await Command(client, self.session).run(words, env, timeout)
            except WorkspaceError as error:
                await self._check_alive(error)
                raise

    async def read_bytes(self, path: str) -> bytes:
        """Return a file, at most 64 MiB."""
        client = await self._attached()
        with translated(_absolute(path)):
            return await client.read(self.session, path)

    async def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file: all of it or nothing, through links, in folders made where missing."""
        client = await self._attached()
        with translated(_absolute(path)):
            await client.write(self.session, path, data)

    async def stat(self, path: str) -> FileEntry:
        """Return what is at the end of a path."""
        client = await self._attached()
        with translated(_absolute(path)):
            return _entry(await client.stat(self.session, path), path)

    async def list_dir(self, path: str) -> Sequence[FileEntry]:
        """Return what is in a folder, by name; links as what they lead to."""
        client = await self._attached()
        with translated(_absolute(path)):
            found = await client.ls(self.session, path, follow=True)
        return [_entry(each, each["path"]) for each in found]

    async def make_dir(self, path: str) -> None:
        """Make a folder and those above it."""
        client = await self._attached()
        with translated(_absolute(path)):
            await client.mkdir(self.session, path)

    async def remove(self, path: str) -> None:
        """Remove a file, a link, or a folder and all in it; never what the work is done in."""
        client = await self._attached()
        with translated(_absolute(path)):
            root = await self.working_dir()
            folder, name = posixpath.split(posixpath.normpath(path))
            target = posixpath.join(await client.realpath(self.session, folder), name)
            if f"{root}/".startswith(target.rstrip("/") + "/"):
                raise ValueError("the working directory and what it is in cannot be removed")
            await client.remove(self.session, target, recursive=True)

    async def exists(self, path: str) -> bool:
        """Tell whether there is something at the end of a path."""
        try:
            await self.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    async def realpath(self, path: str) -> str:
        """Return where a path leads, whether something is there or not."""
        client = await self._attached()
        with translated(_absolute(path)):
            return await client.realpath(self.session, path)

    async def _attached(self) -> AsyncClient:
        """Return a client of this very session, which the first caller opens for all."""
        if self._client is not None:
            return self._client
        if self._opening is None or _has_failed(self._opening):
            self._opening = asyncio.create_task(self._open(), name="deepd-workspace")
        # A caller that goes away does not take the session along that is just being made.
        return await asyncio.shield(self._opening)

    async def _open(self) -> AsyncClient:
        async with AsyncClient(self._socket_path or agent_socket(), name=self._name) as client:
            if self._ref is None:
                name = self._session or f"{PREFIX}{secrets.token_hex(6)}"
                with translated():
                    view = await client.open_session(name, self._profile)
                self._ref = ref_of(view)
            else:
                view = await _found(client, self._ref, self._profile)
            self._client = AsyncClient(client.socket_path, name=self._name, session=view)
        return self._client

    async def _check_alive(self, error: WorkspaceError) -> None:
        """Raise `WorkspaceUnavailableError` for a command that ended with its session."""
        if self._client is not None and self._ref is not None:
            try:
                await _found(self._client, self._ref, None)
            except WorkspaceUnavailableError as gone:
                raise gone from error


def agent_socket() -> str:
    """Return where the daemon listens to those who may make calls, and not decide them."""
    return str(paths.agent_socket())


def ref_of(view: Mapping[str, Any]) -> WorkspaceRef:
    """Return the identity of a session: another one of its name was made at another time."""
    return WorkspaceRef(provider=PROVIDER, id=f"{view['name']}@{view['created_at']!r}")


def session_name(ref: WorkspaceRef) -> str:
    """Return the name of the session that a ref is of."""
    return ref.id.partition("@")[0]


async def _found(client: AsyncClient, ref: WorkspaceRef, profile: str | None) -> dict[str, Any]:
    """Return the session that a ref names, or raise `WorkspaceUnavailableError`."""
    name = session_name(ref)
    try:
        view = await client.session(name)
    except NotFoundError as error:
        raise WorkspaceUnavailableError(str(error)) from error
    if ref_of(view) != ref or view["state"] == "closing":
        raise WorkspaceUnavailableError(f"the session {name} was removed")
    if profile is not None and view["profile"] != profile:
        raise WorkspaceUnavailableError(
            f"the session {name} is of the profile {view['profile']}, not of {profile}"
        )
    return view


def _has_failed(task: asyncio.Task[AsyncClient]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _checked_command(command: WorkspaceCommand, *, shell: bool) -> str | list[str]:
    if isinstance(command, str) != shell:
        raise TypeError("a text is run with shell=True, a list of words without")
    return command if isinstance(command, str) else list(command)


def _absolute(path: str) -> str:
    if not posixpath.isabs(path):
        raise ValueError(f"the path must be absolute, not {path!r}")
    return path


def _entry(stat: Mapping[str, Any], path: str) -> FileEntry:
    is_file = stat["kind"] == "file"
    return FileEntry(
        name=posixpath.basename(path.rstrip("/")) or "/",
        path=path,
        is_dir=stat["kind"] == "dir",
        size=stat["size"] if is_file else None,
    )
