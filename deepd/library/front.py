"""Front: the synchronous face of a backend, worked on the process's loop thread."""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from deepd.library.backend import AsyncBackend
from deepd.library.live import Live
from deepd.library.loop import hand_over, has_ended, run
from deepd.library.place import AnyPath
from deepd.library.results import EditResult, ExecuteResponse, FileInfo, GrepMatch, WriteResult

B = TypeVar("B", bound=AsyncBackend)


class Backend(Live, Generic[B]):
    """What can be done in a sandbox, for programs that wait for each operation.

    May be used by any number of threads at once. Relative paths begin at the work dir. A file
    operation reports what went wrong with the file in its result; that there is no sandbox to do
    it in is raised. In a coroutine each operation blocks the event loop while it takes; `async
    with` and `await` start and stop without blocking, and the asyncio twin never blocks.
    """

    def __init__(self, twin: B) -> None:
        self._twin = twin

    @property
    def twin(self) -> B:
        """Its asyncio twin, which works on the loop thread: for `deepd.library.loop.hand_over`."""
        return self._twin

    @property
    def id(self) -> str:
        """What tells this sandbox from others."""
        return self._twin.id

    def execute(self, command: str, timeout: float | None = None) -> ExecuteResponse:
        """Run a command by the sandbox's shell to its end and return how it ended.

        After `timeout` seconds the command and all that it started are ended and
        `CallTimeoutError`, a `TimeoutError`, is raised with the `output` so far in bytes; `None`
        lets it take as long as it takes. What it leaves in the background goes on. Raises
        `ArgumentsError` for a command or a timeout that makes no sense, `CallLostError` when the
        container goes away under it, `SandboxStopped` after `stop()`; in a daemon's session also
        `DeniedError`.
        """
        return run(self._twin.execute(command, timeout))

    def read(self, path: AnyPath, offset: int = 0, limit: int = 2000) -> str:
        """Return a file's text: at most `limit` lines from line `offset`, counted from 0, on.

        When there is more, the last line says so; past the end it is `[End of file]`; a file that
        cannot be read is a text that begins with `Error:`.
        """
        return run(self._twin.read(path, offset, limit))

    def read_bytes(self, path: AnyPath) -> bytes:
        """Return a file as it is, at most 256 MiB; raise `FileError` when it cannot be read."""
        return run(self._twin.read_bytes(path))

    def write(self, path: AnyPath, content: str | bytes) -> WriteResult:
        """Write a file: all of it or nothing, in folders made where missing.

        Through a link its target is written; mode and owner of a file that was there stay. What
        went wrong is `error` in the result.
        """
        return run(self._twin.write(path, content))

    def edit(
        self,
        path: AnyPath,
        old_string: str,
        new_string: str,
        replace_all: bool = False,  # noqa: FBT001, FBT002 - the signature that users know
    ) -> EditResult:
        """Replace a text that is in the file exactly once, or with `replace_all` everywhere.

        Not found and ambiguous are errors in the result, and the file is as it was.
        """
        return run(self._twin.edit(path, old_string, new_string, replace_all))

    def exists(self, path: AnyPath) -> bool:
        """Tell whether there is something at the end of a path; raise `FileError` if it is not
        allowed to know."""
        return run(self._twin.exists(path))

    def ls_info(self, path: AnyPath) -> list[FileInfo]:
        """Return what is in a folder, sorted, hidden names too; raise `FileError` for no folder."""
        return run(self._twin.ls_info(path))

    def glob_info(self, pattern: str, path: AnyPath = "/") -> list[FileInfo]:
        """Return what matches below a folder, sorted: `*.py` in it, `**/*.py` at every depth.

        At most 10,000; raises `FileError` for a folder that is not there, `ArgumentsError` for an
        empty pattern.
        """
        return run(self._twin.glob_info(pattern, path))

    def grep_raw(
        self,
        pattern: str,
        path: AnyPath | None = None,
        glob: str | None = None,
        ignore_hidden: bool = True,  # noqa: FBT001, FBT002 - the signature that users know
    ) -> list[GrepMatch] | str:
        """Return the lines that match, in one file or below a folder (`None`: the work dir).

        The pattern is a regular expression in RE2's syntax, which takes linear time. `glob`
        narrows the files. At most 10,000 lines; what went wrong is a text.
        """
        return run(self._twin.grep_raw(pattern, path, glob, ignore_hidden))

    def start(self) -> None:
        """Start it now, not at the first operation; running already is no error.

        Raises `ImageNotFoundError`, `EngineDownError` or another `EngineError` that says what to
        do, `OwnedError` when another process has it, `SandboxStopped` after `stop()`.
        """
        run(self._twin.start())

    def is_alive(self) -> bool:
        """Tell whether it runs now; never starts it."""
        return run(self._twin.is_alive())

    def stop(self) -> None:
        """End it for good; later operations raise `SandboxStopped`. Stopped already is no error."""
        if not has_ended():  # a program that ends has stopped everything by itself
            run(self._twin.stop())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await hand_over(self._twin.start())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await hand_over(self._twin.stop())

    def __await__(self) -> Generator[Any, None, Self]:
        yield from hand_over(self._twin.start()).__await__()
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"
