"""Sandbox: commands, files and searches over the guest of one running container."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from weakref import WeakValueDictionary

from deepd.errors import ArgumentsError
from deepd.guest.connection import Guest
from deepd.guest.requests import Execute, FileOp, Kind, Option, Version
from deepd.model.files import FilePart, FileStat, Match
from deepd.model.ids import CallId
from deepd.model.sealed import Sealed
from deepd.sandbox import archive, edit, execute, extract, files, search
from deepd.sandbox.execute import ExecResult, Input
from deepd.sandbox.extract import ArchiveLimits
from deepd.sandbox.operation import perform


class Sandbox:
    """What can be done in a sandbox while its guest is attached.

    Paths are relative to the work dir unless they begin with a slash, and come back absolute.
    File operations raise `FileError` with a sentence that names the path. What changes something
    takes a `call_id`: with one, the caller releases the call when its result is stored.
    """

    def __init__(self, guest: Guest, *, work_dir: str = "/workspace") -> None:
        self.guest = guest
        self.work_dir = work_dir
        # Between the guest's last look at a file and its rename another edit would be lost.
        self._editing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def execute(
        self,
        request: Execute,
        *,
        call_id: CallId | None = None,
        stdin: Input | None = None,
        keep: int = 1 << 20,
    ) -> ExecResult:
        """Run a command to its end and keep the beginning of its output."""
        return await execute.execute(self.guest, request, call_id=call_id, stdin=stdin, keep=keep)

    async def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """Return a file's bytes, at most 256 MiB of them."""
        return await files.read(self.guest, self.absolute(path), offset, size)

    def stream(self, path: str, offset: int = 0, size: int | None = None) -> AsyncIterator[bytes]:
        """Yield a file's bytes, however many."""
        return files.stream(self.guest, self.absolute(path), offset, size)

    def parts(
        self, path: str, offset: int = 0, size: int | None = None
    ) -> AsyncGenerator[bytes | FilePart, None]:
        """Yield a file's bytes, or an open file that has them until the next is asked for."""
        return files.parts(self.guest, self.absolute(path), offset, size)

    async def write(  # noqa: PLR0913 - by keyword only, and each is a way to mean it
        self,
        path: str,
        data: Input | Sealed,
        *,
        size: int | None = None,
        mode: int | None = None,
        exclusive: bool = False,
        append: bool = False,
        parents: bool = True,
        match: Version | None = None,
        call_id: CallId | None = None,
    ) -> FileStat:
        """Write a file: all of it or nothing, through links, with its mode and owner kept.

        A stream needs its exact `size`; others know theirs. With `match` the file must still be
        what it was.
        """
        if size is None and not isinstance(data, bytes | Sealed):
            raise ArgumentsError("the size of what is written must be known before")
        options = (
            Option.WRITE_EXCLUSIVE * exclusive
            | Option.WRITE_APPEND * append
            | Option.WRITE_PARENTS * parents
        )
        operation = FileOp(
            Kind.WRITE, self.absolute(path), size=size or 0, mode=mode, options=options, match=match
        )
        return await files.write(self.guest, operation, data, call_id=call_id)

    async def edit(
        self,
        path: str,
        old: str,
        new: str,
        replace_all: bool = False,  # noqa: FBT001, FBT002 - the signature that users know
        *,
        call_id: CallId | None = None,
    ) -> int:
        """Replace a text that must be there exactly once, or everywhere; return how often."""
        file = self.absolute(path)
        lock = self._editing.setdefault(file, asyncio.Lock())
        async with lock:
            return await edit.edit(
                self.guest, file, old, new, replace_all=replace_all, call_id=call_id
            )

    async def stat(self, path: str, *, follow: bool = True) -> FileStat:
        """Return what a path is."""
        return await files.stat(self.guest, self.absolute(path), follow=follow)

    async def exists(self, path: str) -> bool:
        """Tell whether there is something, at the end of all links."""
        return await files.exists(self.guest, self.absolute(path))

    async def ls(self, path: str = ".") -> list[FileStat]:
        """Return what is in a folder, sorted by name, hidden names too."""
        return await files.ls(self.guest, self.absolute(path))

    async def realpath(self, path: str, *, missing: bool = False) -> str:
        """Return the absolute path without links; with `missing`, no part of it needs to exist."""
        return await files.realpath(self.guest, self.absolute(path), missing=missing)

    async def mkdir(
        self,
        path: str,
        *,
        parents: bool = True,
        mode: int | None = None,
        call_id: CallId | None = None,
    ) -> None:
        """Make a folder; with `parents` the ones above too, and existing is no error."""
        options = Option.MKDIR_PARENTS if parents else 0
        operation = FileOp(Kind.MKDIR, self.absolute(path), mode=mode, options=options)
        await perform(self.guest, operation, "make", call_id=call_id)

    async def remove(
        self, path: str, *, recursive: bool = False, call_id: CallId | None = None
    ) -> None:
        """Remove a file, a link or an empty folder; with `recursive` also what is in it."""
        options = Option.REMOVE_RECURSIVE if recursive else 0
        operation = FileOp(Kind.REMOVE, self.absolute(path), options=options)
        await perform(self.guest, operation, "remove", call_id=call_id)

    async def rename(
        self, path: str, target: str, *, exclusive: bool = False, call_id: CallId | None = None
    ) -> None:
        """Move something; with `exclusive` only where nothing is."""
        options = Option.RENAME_EXCLUSIVE if exclusive else 0
        operation = FileOp(Kind.RENAME, self.absolute(path), self.absolute(target), options=options)
        await perform(self.guest, operation, "rename", call_id=call_id)

    async def symlink(self, path: str, target: str, *, call_id: CallId | None = None) -> None:
        """Make a link at a path; its target is stored as it is given."""
        operation = FileOp(Kind.SYMLINK, self.absolute(path), target)
        await perform(self.guest, operation, "make the link", call_id=call_id)

    async def chmod(self, path: str, mode: int, *, call_id: CallId | None = None) -> None:
        """Set the permission bits."""
        operation = FileOp(Kind.CHMOD, self.absolute(path), mode=mode)
        await perform(self.guest, operation, "change the mode of", call_id=call_id)

    async def glob(
        self, pattern: str, path: str = ".", *, limit: int = 10_000, hidden: bool = False
    ) -> list[FileStat]:
        """Return what matches, sorted: `*.py` here, `**/*.py` at every depth."""
        return await search.glob(
            self.guest, pattern, self.absolute(path), limit=limit, hidden=hidden
        )

    async def grep(
        self,
        pattern: str,
        path: str = ".",
        *,
        glob: str | None = None,
        ignore_hidden: bool = True,
        limit: int = 10_000,
    ) -> list[Match]:
        """Return the lines that match a regular expression, in a file or below a folder."""
        return await search.grep(
            self.guest,
            pattern,
            self.absolute(path),
            glob=glob,
            ignore_hidden=ignore_hidden,
            limit=limit,
        )

    def archive(self, path: str = ".") -> AsyncIterator[bytes]:
        """Yield a tar of a folder's content, or of one file."""
        return archive.archive(self.guest, self.absolute(path))

    async def extract(
        self, path: str, source: AsyncIterable[bytes], limits: ArchiveLimits | None = None
    ) -> int:
        """Unpack a tar into a folder and return how many entries it had."""
        return await extract.extract(
            self.guest, self.absolute(path), source, limits or ArchiveLimits()
        )

    def absolute(self, path: str) -> str:
        """Return a path from the root on, without empty parts; `..` is left to the sandbox."""
        if not path:
            raise ArgumentsError("the path is empty")
        whole = path if path.startswith("/") else f"{self.work_dir}/{path}"
        return "/" + "/".join(part for part in whole.split("/") if part not in ("", "."))
