"""LocalBackend: commands and files of this machine itself, with no isolation at all."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from deepd.engine.process import GuestProcess, spawn_guest
from deepd.errors import ConflictError, FileError, ForbiddenError, OwnedError, SandboxStopped
from deepd.guest.binary import guest_binary
from deepd.guest.connection import Guest
from deepd.library.backend import AsyncBackend
from deepd.library.front import Backend
from deepd.library.place import GuestPlace, Place
from deepd.library.results import ExecuteResponse
from deepd.library.yard import yard
from deepd.model.files import FileStat, Match
from deepd.model.profile import Limits
from deepd.sandbox.failure import shown
from deepd.sandbox.pattern import split_glob
from deepd.sandbox.sandbox import Sandbox

_Folder = str | os.PathLike[str]


class AsyncLocalBackend(AsyncBackend):
    """This machine itself, for programs on asyncio; see `LocalBackend`."""

    def __init__(
        self,
        root_dir: _Folder | None = None,
        allowed_directories: Sequence[_Folder] | None = None,
        enable_execute: bool = True,  # noqa: FBT001, FBT002 - the signature that users know
        sandbox_id: str | None = None,
    ) -> None:
        self._root = _real(root_dir or Path.cwd())
        self._folders = (self._root, *map(_real, allowed_directories or ()))
        self._may_execute = enable_execute
        self._id = sandbox_id or f"local-{secrets.token_hex(4)}"
        self._changing = asyncio.Lock()
        self._process: GuestProcess | None = None
        self._guest: Guest | None = None
        self._owner: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._stopped = False

    @property
    def id(self) -> str:
        """The sandbox id, or one made for it."""
        return self._id

    @property
    def root_dir(self) -> Path:
        """Where commands run and relative paths begin."""
        return self._root

    @property
    def execute_enabled(self) -> bool:
        """Whether it runs commands."""
        return self._may_execute

    async def start(self) -> None:
        """Start it now, not at the first operation."""
        async with self._place():
            return

    async def is_alive(self) -> bool:
        """Tell whether it was started and not stopped."""
        return self._guest is not None and not self._guest.closed

    async def stop(self) -> None:
        """End it with all commands that still run; the files stay."""
        self._stopped = True
        if self._owner is None or self._owner[0] != os.getpid():
            return
        self._check_owner()
        async with self._changing:
            yard().drop(self)
            await self._let_go()

    @asynccontextmanager
    async def _use(self) -> AsyncIterator[Place]:
        guest = await self._ready()
        yield _LocalPlace(Sandbox(guest, work_dir=str(self._root)), self._folders, self)

    async def _ready(self) -> Guest:
        self._check_owner()
        async with self._changing:
            if self._stopped:
                raise SandboxStopped(f"{self._id} was stopped", next_step="make a new one")
            if self._guest is None or self._guest.closed:
                await self._let_go()
                yard().keep(self)
                self._guest = await self._start()
            return self._guest

    async def _start(self) -> Guest:
        program = await asyncio.to_thread(guest_binary)
        self._root.mkdir(parents=True, exist_ok=True)
        user = f"{os.geteuid()}:{os.getegid()}"
        place = ["--work-dir", str(self._root), "--user", user]
        stream = await spawn_guest([str(program), *place, "--shell", "auto", "--as-is"])
        self._process = stream.process
        return await Guest.connect(stream)

    async def _let_go(self) -> None:
        guest, self._guest = self._guest, None
        process, self._process = self._process, None
        if guest is not None:
            await guest.aclose()
        if process is not None:
            await process.stop()

    def _check_owner(self) -> None:
        here = os.getpid(), asyncio.get_running_loop()
        if self._owner is None:
            self._owner = here
        elif self._owner[0] != here[0]:
            raise OwnedError(
                f"{self._id} belongs to the process {self._owner[0]}, of which this one was forked",
                next_step="make a backend of its own in each process",
            )
        elif self._owner[1] is not here[1]:
            raise ConflictError(
                f"{self._id} belongs to another event loop",
                next_step="make one in each loop, or use LocalBackend, which may be shared",
            )


class _LocalPlace(GuestPlace):
    """A guest on this machine that is kept to some folders."""

    def __init__(
        self, sandbox: Sandbox, folders: Sequence[Path], backend: AsyncLocalBackend
    ) -> None:
        super().__init__(sandbox, Limits(), {})
        self._folders = folders
        self._backend = backend

    async def execute(self, command: str, timeout: float | None) -> ExecuteResponse:
        if not self._backend.execute_enabled:
            raise ForbiddenError(
                "this backend runs no commands", next_step="make it with enable_execute=True"
            )
        return await super().execute(command, timeout)

    def stream(self, path: str) -> AsyncIterator[bytes]:
        return super().stream(self._inside(path))

    async def read(self, path: str) -> bytes:
        return await super().read(self._inside(path))

    async def write(self, path: str, data: bytes) -> str:
        return await super().write(self._inside(path), data)

    async def edit(self, path: str, old: str, new: str, *, replace_all: bool) -> tuple[str, int]:
        return await super().edit(self._inside(path), old, new, replace_all=replace_all)

    async def exists(self, path: str) -> bool:
        return await super().exists(self._inside(path))

    async def ls(self, path: str) -> list[FileStat]:
        return await super().ls(self._folder(path))

    async def glob(self, pattern: str, path: str) -> list[FileStat]:
        parts = split_glob(pattern)
        base = self._inside(os.path.join(self._folder(path), parts.base))  # noqa: PTH118 - a text
        if parts.rest:
            return await super().glob(parts.rest, base)
        return [await self._sandbox.stat(base)] if await super().exists(base) else []

    async def grep(
        self, pattern: str, path: str, *, glob: str | None, ignore_hidden: bool
    ) -> list[Match]:
        where = self._folder(path)
        return await super().grep(pattern, where, glob=glob, ignore_hidden=ignore_hidden)

    def _folder(self, path: str) -> str:
        """Return a folder to look in; `/`, the default of some methods, means the root folder."""
        return str(self._folders[0]) if path == "/" else self._inside(path)

    def _inside(self, path: str) -> str:
        """Return a path without links, or raise `FileError` when it leads outside."""
        if "\0" in path or not path:
            raise FileError("the path is empty or has a NUL character", errno_name="EINVAL")
        real = _real(self._folders[0] / path)
        if any(real == folder or folder in real.parents for folder in self._folders):
            return str(real)
        allowed = ", ".join(str(folder) for folder in self._folders)
        raise FileError(
            f"cannot use {shown(path)}: it leads outside of {allowed}",
            next_step="name it in allowed_directories if it is meant",
            errno_name="EACCES",
        )


class LocalBackend(Backend[AsyncLocalBackend]):
    """Commands and files of this machine itself, as the calling user: THERE IS NO ISOLATION.

    A command can do whatever the calling user can, save that it has no capabilities and can gain
    none (`sudo` does not work): only for code that is trusted. `root_dir` is where commands run and
    relative paths begin; the current folder by default, made where it is missing. File operations
    are refused outside of it and of `allowed_directories`, whatever links lead there; commands are
    not held to that. `enable_execute=False` refuses commands with `ForbiddenError`. Timeouts, whole
    writes and searches are as in `DockerSandbox`; for `ls_info`, `glob_info` and `grep_raw` the
    path `/` means the root folder.
    """

    def __init__(
        self,
        root_dir: _Folder | None = None,
        allowed_directories: Sequence[_Folder] | None = None,
        enable_execute: bool = True,  # noqa: FBT001, FBT002 - the signature that users know
        sandbox_id: str | None = None,
    ) -> None:
        super().__init__(
            AsyncLocalBackend(root_dir, allowed_directories, enable_execute, sandbox_id)
        )

    @property
    def root_dir(self) -> Path:
        """Where commands run and relative paths begin."""
        return self._twin.root_dir

    @property
    def execute_enabled(self) -> bool:
        """Whether it runs commands."""
        return self._twin.execute_enabled


def _real(path: _Folder) -> Path:
    return Path(os.path.realpath(Path(path).expanduser()))
