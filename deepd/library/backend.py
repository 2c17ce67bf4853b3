"""Backend: the operations of every asynchronous sandbox, with results that say what went wrong."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self

from deepd.errors import ArgumentsError, DeepdError
from deepd.library.live import Live
from deepd.library.page import Page
from deepd.library.place import AnyPath, Place, checked_path
from deepd.library.results import EditResult, ExecuteResponse, FileInfo, GrepMatch, WriteResult
from deepd.library.telling import IN_RESULT, said, with_next_step
from deepd.model.files import FileStat


class AsyncBackend(Live, ABC):
    """What can be done in a sandbox, for programs on asyncio.

    Relative paths begin at the work dir. A file operation reports what went wrong with the file
    in its result; that there is no sandbox to do it in is raised (`EngineError`, `OwnedError`,
    `SandboxStopped` and the others of `deepd.errors`).
    """

    @property
    @abstractmethod
    def id(self) -> str:
        """What tells this sandbox from others."""

    @abstractmethod
    def _use(self) -> AbstractAsyncContextManager[Place]:
        """Return a place to work in, started where it is not, busy until it is left."""

    @abstractmethod
    async def start(self) -> None:
        """Start it now, not at the first operation; running already is no error."""

    @abstractmethod
    async def is_alive(self) -> bool:
        """Tell whether it runs now; never starts it."""

    @abstractmethod
    async def stop(self) -> None:
        """End it for good; later operations raise `SandboxStopped`. Stopped already is no error."""

    async def execute(self, command: str, timeout: float | None = None) -> ExecuteResponse:
        """Run a command by the sandbox's shell to its end and return how it ended.

        After `timeout` seconds the command and all that it started are ended and
        `CallTimeoutError`, a `TimeoutError`, is raised with the `output` so far in bytes; `None`
        lets it take as long as it takes. What it leaves in the background goes on. Raises
        `ArgumentsError` for a command or a timeout that makes no sense, `CallLostError` when the
        container goes away under it, `SandboxStopped` after `stop()`; in a daemon's session also
        `DeniedError`.
        """
        async with self._place() as place:
            return await place.execute(command, timeout)

    async def read(self, path: AnyPath, offset: int = 0, limit: int = 2000) -> str:
        """Return a file's text: at most `limit` lines from line `offset`, counted from 0, on.

        When there is more, the last line says so; past the end it is `[End of file]`; a file that
        cannot be read is a text that begins with `Error:`.
        """
        try:
            page = Page(offset, limit)
            async with self._place() as place:
                async for piece in place.stream(checked_path(path)):
                    page.feed(piece)
            return page.text()
        except IN_RESULT as error:
            return f"Error: {said(error)}"

    async def read_bytes(self, path: AnyPath) -> bytes:
        """Return a file as it is, at most 256 MiB; raise `FileError` when it cannot be read."""
        async with self._place() as place:
            return await place.read(checked_path(path))

    async def write(self, path: AnyPath, content: str | bytes) -> WriteResult:
        """Write a file: all of it or nothing, in folders made where missing.

        Through a link its target is written; mode and owner of a file that was there stay.
        """
        try:
            async with self._place() as place:
                return WriteResult(path=await place.write(checked_path(path), _octets(content)))
        except IN_RESULT as error:
            return WriteResult(error=said(error))

    async def edit(
        self,
        path: AnyPath,
        old_string: str,
        new_string: str,
        replace_all: bool = False,  # noqa: FBT001, FBT002 - the signature that users know
    ) -> EditResult:
        """Replace a text that is in the file exactly once, or with `replace_all` everywhere.

        Not found and ambiguous are errors in the result, and the file is as it was.
        """
        try:
            async with self._place() as place:
                where, count = await place.edit(
                    checked_path(path), old_string, new_string, replace_all=replace_all
                )
            return EditResult(path=where, occurrences=count)
        except IN_RESULT as error:
            return EditResult(error=said(error))

    async def exists(self, path: AnyPath) -> bool:
        """Tell whether there is something at the end of a path; raise `FileError` if it is not
        allowed to know."""
        async with self._place() as place:
            return await place.exists(checked_path(path))

    async def ls_info(self, path: AnyPath) -> list[FileInfo]:
        """Return what is in a folder, sorted, hidden names too; raise `FileError` for no folder."""
        async with self._place() as place:
            return [_info(entry) for entry in await place.ls(checked_path(path))]

    async def glob_info(self, pattern: str, path: AnyPath = "/") -> list[FileInfo]:
        """Return what matches below a folder, sorted: `*.py` in it, `**/*.py` at every depth.

        At most 10,000; raises `FileError` for a folder that is not there, `ArgumentsError` for an
        empty pattern.
        """
        async with self._place() as place:
            return [_info(entry) for entry in await place.glob(pattern, checked_path(path))]

    async def grep_raw(
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
        try:
            async with self._place() as place:
                found = await place.grep(
                    pattern, checked_path(path or "."), glob=glob, ignore_hidden=ignore_hidden
                )
            return [GrepMatch(match.path, match.line_number, match.line) for match in found]
        except IN_RESULT as error:
            return f"Error: {said(error)}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def __await__(self) -> Generator[Any, None, Self]:
        yield from self.start().__await__()
        return self

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[Place]:
        with told():
            async with self._use() as place:
                yield place


@contextmanager
def told() -> Iterator[None]:
    """Raise errors on with texts that say what to do."""
    try:
        yield
    except DeepdError as error:
        with_next_step(error)
        raise


def _octets(content: str | bytes) -> bytes:
    if isinstance(content, str):
        try:
            return content.encode(errors="surrogateescape")
        except UnicodeEncodeError as error:
            raise ArgumentsError("the text has a character that cannot be encoded") from error
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    raise ArgumentsError(f"the content must be text or bytes, not {type(content).__name__}")


def _info(entry: FileStat) -> FileInfo:
    name = entry.path.rstrip("/").rpartition("/")[2] or "/"
    is_dir = entry.kind == "dir"
    return FileInfo(name, entry.path, is_dir, None if is_dir else entry.size)
