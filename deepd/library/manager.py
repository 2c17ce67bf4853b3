"""SessionManager: a sandbox for each user of a program, found again by its session id."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self, Unpack

from deepd.engine.workspace import prepare_workspace
from deepd.errors import ConflictError, DeepdError
from deepd.library.backend import told
from deepd.library.live import Live
from deepd.library.loop import hand_over, has_ended, run
from deepd.library.runtimes import DEFAULT_IMAGE, RuntimeConfig, find_runtime
from deepd.library.sandbox import AsyncDockerSandbox, DockerSandbox
from deepd.library.wish import SandboxOptions
from deepd.library.yard import yard

logger = logging.getLogger(__name__)


class AsyncSessionManager(Live):
    """One sandbox a session id, for programs on asyncio; see `SessionManager`."""

    def __init__(
        self,
        default_runtime: RuntimeConfig | str | None = None,
        default_idle_timeout: float | None = 3600,
        workspace_root: str | os.PathLike[str] | None = None,
        *,
        image: str | None = None,
        **options: Unpack[SandboxOptions],
    ) -> None:
        with told():
            self._runtime = find_runtime(default_runtime)
        self._image = image
        self._idle_timeout = default_idle_timeout
        self._root = workspace_root
        self._options = options
        self._sessions: dict[str, AsyncDockerSandbox] = {}
        self._guard = threading.Lock()
        self._cleaning: asyncio.Task[None] | None = None

    @property
    def sessions(self) -> dict[str, AsyncDockerSandbox]:
        """The sandboxes by their ids; a copy."""
        return dict(self._sessions)

    def get_or_create(
        self, session_id: str, runtime: RuntimeConfig | str | None = None
    ) -> AsyncDockerSandbox:
        """Return the session's sandbox, made where there is none; see `SessionManager`."""
        with told(), self._guard:
            wanted = find_runtime(runtime)
            found = self._sessions.get(session_id)
            if found is not None and not found.is_ended:
                if wanted is not None and wanted != found.runtime:
                    raise ConflictError(
                        f"the session {session_id} has a sandbox with another runtime",
                        next_step="release it first, or use another session id",
                    )
                return found
            made = self._make(session_id, wanted or self._default(found))
            self._sessions[session_id] = made
            return made

    async def release(self, session_id: str) -> bool:
        """Stop the session's sandbox and forget it; tell whether there was one."""
        with self._guard:
            sandbox = self._sessions.pop(session_id, None)
        if sandbox is None:
            return False
        await sandbox.stop()
        return True

    async def cleanup_idle(self, max_idle: float | None = None) -> int:
        """Release the sessions that did nothing for `max_idle` s; return how many these were."""
        count = 0
        for session_id, sandbox in self.sessions.items():
            limit = sandbox.idle_timeout if max_idle is None else max_idle
            if sandbox.is_ended or (limit is not None and sandbox.idle_for > limit):
                count += await self.release(session_id)
        return count

    def start_cleanup_loop(self, interval: float = 300) -> None:
        """Clean up every `interval` seconds, in the running loop; running already is no error."""
        if self._cleaning is None or self._cleaning.done():
            self._cleaning = asyncio.get_running_loop().create_task(
                self._clean(interval), name="clean up idle sessions"
            )
            yard().keep(self)

    def stop_cleanup_loop(self) -> None:
        """End that; not running is no error."""
        if self._cleaning is not None:
            self._cleaning.cancel()
            self._cleaning = None

    async def shutdown(self) -> int:
        """Release all sessions and return how many there were."""
        cleaning = self._cleaning
        self.stop_cleanup_loop()
        if cleaning is not None:
            await asyncio.wait({cleaning})
            yard().drop(self)
        done = await asyncio.gather(
            *(self.release(session_id) for session_id in self.sessions), return_exceptions=True
        )
        for error in done:
            if isinstance(error, BaseException):
                raise error
        return len(done)

    async def stop(self) -> None:
        """Do what `shutdown` does, at the end of the loop."""
        await self.shutdown()

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._sessions

    def __len__(self) -> int:
        return len(self._sessions)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.shutdown()

    def _default(self, former: AsyncDockerSandbox | None) -> RuntimeConfig | None:
        """Return the runtime that a session had before, or the one that all have."""
        return self._runtime if former is None else former.runtime

    def _make(self, session_id: str, runtime: RuntimeConfig | None) -> AsyncDockerSandbox:
        sandbox = AsyncDockerSandbox(
            self._image or DEFAULT_IMAGE,
            runtime=runtime,
            session_id=session_id,
            idle_timeout=self._idle_timeout,
            workspace_root=self._root,
            **self._options,
        )
        if sandbox.workspace_root is not None:
            prepare_workspace(sandbox.workspace_root, sandbox.id)
        return sandbox

    async def _clean(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            try:
                await self.cleanup_idle()
            except DeepdError as error:
                logger.warning("cannot clean up idle sessions: %s", error)


class SessionManager(Live):
    """A sandbox for each user of a program, found again by its session id.

    `default_runtime` (or `image`) is what sandboxes are made of. After `default_idle_timeout`
    seconds without work a container stops. With `workspace_root` the files of a session are in
    `<root>/<session_id>/workspace` on this machine, mounted at the work dir, and outlive
    containers and processes; without, they go with the container. By keyword `SandboxOptions`.
    May be used by any number of threads at once. In a coroutine `release`, `cleanup_idle` and
    `shutdown` block the event loop while they take; `async with` and `await get_or_create(…)` do
    not, and the asyncio twin never does.
    """

    def __init__(
        self,
        default_runtime: RuntimeConfig | str | None = None,
        default_idle_timeout: float | None = 3600,
        workspace_root: str | os.PathLike[str] | None = None,
        *,
        image: str | None = None,
        **options: Unpack[SandboxOptions],
    ) -> None:
        self._twin = AsyncSessionManager(
            default_runtime, default_idle_timeout, workspace_root, image=image, **options
        )
        self._fronts: dict[str, tuple[AsyncDockerSandbox, DockerSandbox]] = {}

    @property
    def sessions(self) -> dict[str, DockerSandbox]:
        """The sandboxes by their ids; a copy."""
        return {
            session_id: self._front(session_id, twin)
            for session_id, twin in self._twin.sessions.items()
        }

    def get_or_create(
        self, session_id: str, runtime: RuntimeConfig | str | None = None
    ) -> DockerSandbox:
        """Return the session's sandbox, made where there is none or where it was stopped.

        Its workspace folder is made now, its container at the first operation; `await
        manager.get_or_create(…)` starts it at once, without blocking. Raises `BadRequestError` for
        an id other than 1 to 63 of `a-z 0-9 _ . -`, `ConflictError` for another runtime than the
        session's sandbox has, `EngineRefusedError` for a root that others could tamper with.
        """
        return self._front(session_id, self._twin.get_or_create(session_id, runtime))

    def release(self, session_id: str) -> Count:
        """Stop the session's sandbox and forget it; return 1, or 0 when there was none.

        Files under the workspace root stay. May be awaited too.
        """
        self._fronts.pop(session_id, None)
        return Count(run(self._twin.release(session_id)))

    def cleanup_idle(self, max_idle: float | None = None) -> Count:
        """Release sessions that did nothing for `max_idle` seconds; return how many.

        `None`: for their own idle timeout. May be awaited too.
        """
        return Count(run(self._twin.cleanup_idle(max_idle)))

    def start_cleanup_loop(self, interval: float = 300) -> None:
        """Clean up every `interval` seconds in the background; running already is no error."""
        run(_soon(self._twin.start_cleanup_loop, interval))

    def stop_cleanup_loop(self) -> None:
        """End that; not running is no error."""
        run(_soon(self._twin.stop_cleanup_loop))

    def shutdown(self) -> Count:
        """Release all sessions and return how many there were; may be awaited too."""
        self._fronts.clear()
        if has_ended():
            return Count(0)
        return Count(run(self._twin.shutdown()))

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._twin

    def __len__(self) -> int:
        return len(self._twin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await hand_over(self._twin.shutdown())

    def _front(self, session_id: str, twin: AsyncDockerSandbox) -> DockerSandbox:
        """Return the same object for the same sandbox."""
        known = self._fronts.get(session_id)
        if known is None or known[0] is not twin:
            known = self._fronts[session_id] = twin, DockerSandbox.over(twin)
        return known[1]


class Count(int):
    """A number that may be awaited, for programs that wrote `await manager.release(…)`."""

    def __await__(self) -> Generator[Any, None, int]:
        yield from ()
        return int(self)


async def _soon(function: Any, *args: Any) -> None:
    """Call something on the loop that this runs on."""
    function(*args)
