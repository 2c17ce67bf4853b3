"""DockerSandbox: a container of one's own for commands and files, with only an engine running."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Unpack

from deepd.errors import ConflictError, OwnedError, SandboxStopped
from deepd.library.backend import AsyncBackend, told
from deepd.library.front import Backend
from deepd.library.machine import Machine
from deepd.library.place import GuestPlace, Place
from deepd.library.runtimes import DEFAULT_IMAGE, DEFAULT_WORK_DIR, RuntimeConfig
from deepd.library.wish import SandboxOptions, make_wish
from deepd.library.yard import yard


class AsyncDockerSandbox(AsyncBackend):
    """A container for commands and files, for programs on asyncio; see `DockerSandbox`.

    It belongs to the event loop that first uses it, and ends with it where the loop is shut down
    as `asyncio.run` does.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the signature that users know
        self,
        image: str = DEFAULT_IMAGE,
        sandbox_id: str | None = None,
        work_dir: str = DEFAULT_WORK_DIR,
        auto_remove: bool = True,  # noqa: FBT001, FBT002 - the signature that users know
        runtime: RuntimeConfig | str | None = None,
        session_id: str | None = None,
        idle_timeout: float | None = 3600,
        volumes: Mapping[str, str] | None = None,
        *,
        workspace_root: str | os.PathLike[str] | None = None,
        **options: Unpack[SandboxOptions],
    ) -> None:
        with told():
            self._wish = make_wish(
                image=image,
                work_dir=work_dir,
                auto_remove=auto_remove,
                runtime=runtime,
                session_id=sandbox_id if session_id is None else session_id,
                idle_timeout=idle_timeout,
                volumes=volumes,
                workspace_root=workspace_root,
                options=options,
            )
        self._machine: Machine | None = None
        self._stopped = False
        self._used_at = time.monotonic()

    @property
    def id(self) -> str:
        """The session id, or the one that was made for it."""
        return self._wish.session

    @property
    def session_id(self) -> str:
        """The same as `id`."""
        return self._wish.session

    @property
    def runtime(self) -> RuntimeConfig | None:
        """The runtime that it was made with."""
        return self._wish.runtime

    @property
    def idle_timeout(self) -> float | None:
        """Seconds without work after which its container stops; `None` never."""
        return self._wish.profile.idle_timeout

    @property
    def workspace_root(self) -> Path | None:
        """The folder of the sessions' workspaces, without links."""
        return self._wish.workspace_root

    @property
    def is_ended(self) -> bool:
        """Whether it was stopped or has lost its container, and will not come back."""
        return self._stopped or (self._machine is not None and self._machine.ended)

    @property
    def idle_for(self) -> float:
        """Seconds since the end of the last operation, or since it was made; 0 while busy."""
        if self._machine is not None and self._machine.is_busy:
            return 0.0
        return time.monotonic() - self._used_at

    async def start(self) -> None:
        """Start it now, not at the first operation; see `DockerSandbox.start`."""
        async with self._place():
            return

    async def is_alive(self) -> bool:
        """Tell whether its container runs and answers; never starts it."""
        return self._machine is not None and self._machine.is_alive

    async def stop(self) -> None:
        """End it; the container goes, with `auto_remove`. Never makes one."""
        self._stopped = True
        machine = self._machine
        if machine is not None and machine.pid == os.getpid():
            self._check_loop(machine)
            with told():
                await machine.stop()

    @asynccontextmanager
    async def _use(self) -> AsyncIterator[Place]:
        machine = self._own_machine()
        try:
            async with machine.use() as sandbox:
                profile = self._wish.profile
                yield GuestPlace(sandbox, profile.limits, dict(profile.env))
        finally:
            self._used_at = time.monotonic()
            if machine.is_blank and not machine.ended:
                # What kept it from being made may concern this wish alone.
                self._machine = None
                await machine.leave(self)

    def _own_machine(self) -> Machine:
        machine = self._machine
        if machine is None:
            if self._stopped:
                raise SandboxStopped(
                    f"the sandbox {self.id} was stopped", next_step="make a new one"
                )
            machine = self._machine = yard().machine(self._wish)
            machine.users.add(self)
            if not self._wish.is_named:
                weakref.finalize(self, machine.end_soon).atexit = False
        elif machine.pid != os.getpid():
            raise OwnedError(
                f"the sandbox {self.id} belongs to the process {machine.pid}, of which this one"
                " was forked",
                next_step="make a sandbox of its own in each process",
            )
        self._check_loop(machine)
        return machine

    def _check_loop(self, machine: Machine) -> None:
        if machine.loop is not asyncio.get_running_loop():
            raise ConflictError(
                f"the sandbox {self.id} belongs to another event loop",
                next_step="make one in each loop, or use DockerSandbox, which may be shared",
            )


class DockerSandbox(Backend[AsyncDockerSandbox]):
    """A container of its own for commands and files; it starts at the first operation.

    Without a daemon: the container belongs to this process and ends with it. Where the process is
    killed it ends by itself, after `idle_timeout`, or 5 minutes at most when it has no name.

    Args:
        image: Pulled where it is missing.
        sandbox_id: The same as `session_id`.
        work_dir: Where commands run and relative paths begin; made where it is missing.
        auto_remove: `False` only stops the container at `stop()`: the next sandbox of the same
            `session_id` goes on with its files.
        runtime: A `RuntimeConfig`, or the name of one in `BUILTIN_RUNTIMES`, in place of `image`.
        session_id: Its name: 1 to 63 of `a-z 0-9 _ . -`. Objects of one name in a process share
            one container, and another process gets `OwnedError`. Without a name it is removed
            when its object is no more.
        idle_timeout: Seconds without work after which the container stops; it starts again with
            its files at the next operation. 0 and `None` are never.
        volumes: Folders of this machine to paths in the container, read-only with `:ro` behind
            the path; missing ones are made.
        workspace_root: Mounts `<root>/<session_id>/workspace` of this machine at the work dir.
        options: See `SandboxOptions`. By default no network, 1 GiB of memory, 2 cores, 256
            processes, and commands run as an ordinary user.

    Raises `BadRequestError` for an id that is no name, and `ArgumentsError` for what cannot be
    meant; nothing is made then.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the signature that users know
        self,
        image: str = DEFAULT_IMAGE,
        sandbox_id: str | None = None,
        work_dir: str = DEFAULT_WORK_DIR,
        auto_remove: bool = True,  # noqa: FBT001, FBT002 - the signature that users know
        runtime: RuntimeConfig | str | None = None,
        session_id: str | None = None,
        idle_timeout: float | None = 3600,
        volumes: Mapping[str, str] | None = None,
        *,
        workspace_root: str | os.PathLike[str] | None = None,
        **options: Unpack[SandboxOptions],
    ) -> None:
        super().__init__(
            AsyncDockerSandbox(
                image,
                sandbox_id,
                work_dir,
                auto_remove,
                runtime,
                session_id,
                idle_timeout,
                volumes,
                workspace_root=workspace_root,
                **options,
            )
        )

    @classmethod
    def over(cls, twin: AsyncDockerSandbox) -> DockerSandbox:
        """Return the synchronous face of a sandbox that is worked on the loop thread."""
        sandbox = cls.__new__(cls)
        Backend.__init__(sandbox, twin)
        return sandbox

    @property
    def session_id(self) -> str:
        """The same as `id`."""
        return self._twin.session_id

    @property
    def runtime(self) -> RuntimeConfig | None:
        """The runtime that it was made with."""
        return self._twin.runtime

    @property
    def idle_timeout(self) -> float | None:
        """Seconds without work after which its container stops; `None` never."""
        return self._twin.idle_timeout
