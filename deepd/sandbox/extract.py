"""Extract: unpack a tar stream in a sandbox, and only below the folder that was named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from dataclasses import dataclass

from deepd.errors import ArgumentsError, FileError, TooLargeError
from deepd.guest.connection import Guest
from deepd.guest.requests import FileOp, Kind, Option
from deepd.sandbox import files
from deepd.sandbox.execute import Input
from deepd.sandbox.operation import perform
from deepd.sandbox.tar import Entry, TarReader

_SMALL = 256 * 1024
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much one archive may unpack to."""

    size: int = 4 << 30
    """Bytes of all files together."""
    entries: int = 100_000
    depth: int = 64
    """Folders within folders."""


async def extract(
    guest: Guest,
    path: str,
    source: AsyncIterable[bytes],
    limits: ArchiveLimits = ArchiveLimits(),
) -> int:
    """Unpack files, folders and links into a folder and return how many.

    What was unpacked before an error stays. Owners and times are not taken over.
    """
    await perform(guest, FileOp(Kind.MKDIR, path, options=Option.MKDIR_PARENTS), "make")
    reader = TarReader(source)
    place = Place(limits)
    small = SmallFiles(guest)
    try:
        async for entry in reader.entries():
            if not (parts := place.admit(entry)):
                continue
            target = files.join(path, "/".join(parts))
            if entry.kind == "file" and entry.size <= _SMALL:
                content = b"".join([piece async for piece in reader.content()])
                await small.add(entry, target, content)
            else:
                await small.finish()
                await _unpack(guest, reader, entry, target)
        await small.finish()
    finally:
        await small.cancel()
    return place.entries


class SmallFiles:
    """Small files that are being written while the archive is read on, a few at once."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def add(self, entry: Entry, path: str, content: bytes) -> None:
        """Begin to write a file, after one of the same name and when there is room."""
        while path in self._tasks or len(self._tasks) >= _AT_ONCE:
            await self._finish_one()
        writing = _write(self._guest, entry, path, content)
        self._tasks[path] = asyncio.create_task(writing, name="unpack")

    async def finish(self) -> None:
        """Wait for all; raise what one of them raised."""
        while self._tasks:
            await self._finish_one()

    async def cancel(self) -> None:
        """End those that are left after an error."""
        for task in self._tasks.values():
            task.cancel()
        # The first error is the one that is told.
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _finish_one(self) -> None:
        path, task = next(iter(self._tasks.items()))
        await task
        del self._tasks[path]


class Place:
    """Decides what of an archive may be unpacked; pure."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self.entries = 0
        self._size = 0
        self._limits = limits
        self._links: set[tuple[str, ...]] = set()

    def admit(self, entry: Entry) -> tuple[str, ...]:
        """Return the parts of the path to unpack to, none for the top itself.

        Raises `ArgumentsError` for what would leave the folder, `TooLargeError` for too much.
        """
        self.entries += 1
        self._size += entry.size
        if self.entries > self._limits.entries:
            raise TooLargeError(f"the archive has more than {self._limits.entries:,} entries")
        if self._size > self._limits.size:
            raise TooLargeError(f"the archive unpacks to more than {self._limits.size:,} bytes")
        parts = self._inside(entry.name)
        # What follows a link of this archive would be unpacked where the link leads.
        if any(parts[:length] in self._links for length in range(1, len(parts))):
            raise ArgumentsError(f"{entry.name[:200]!r} in the archive is behind a link")
        if entry.kind == "link":
            self._check_target(entry, parts)
            self._links.add(parts)
        else:
            self._links.discard(parts)
        return parts

    def _inside(self, name: str) -> tuple[str, ...]:
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise ArgumentsError(f"{name[:200]!r} in the archive leads out of the folder")
        if len(parts) > self._limits.depth:
            raise TooLargeError(f"the archive has more than {self._limits.depth} nested folders")
        return parts

    def _check_target(self, entry: Entry, parts: tuple[str, ...]) -> None:
        """Let a target go up only at its beginning, and no further than to the top.

        Further on, going up could start from where another link has led to.
        """
        target = [part for part in entry.target.split("/") if part not in ("", ".")]
        up = next((n for n, part in enumerate(target) if part != ".."), len(target))
        if (
            not parts
            or not entry.target
            or entry.target.startswith("/")
            or up > len(parts) - 1
            or ".." in target[up:]
            or "\0" in entry.target
        ):
            raise ArgumentsError(f"the link {entry.name[:200]!r} in the archive leads out of it")


async def _unpack(guest: Guest, reader: TarReader, entry: Entry, path: str) -> None:
    if entry.kind == "dir":
        await _make_folder(guest, path, entry.mode)
    elif entry.kind == "file":
        await _write(guest, entry, path, reader.content())
    else:
        await _replace_link(guest, path, also_files=True)
        await perform(guest, FileOp(Kind.SYMLINK, path, entry.target), "make the link")


async def _write(guest: Guest, entry: Entry, path: str, content: Input) -> None:
    await _replace_link(guest, path)
    operation = FileOp(
        Kind.WRITE, path, size=entry.size, mode=entry.mode, options=Option.WRITE_PARENTS
    )
    await files.write(guest, operation, content)


async def _make_folder(guest: Guest, path: str, mode: int) -> None:
    # The owner must be able to unpack into it.
    mode |= 0o700
    await perform(guest, FileOp(Kind.MKDIR, path, mode=mode, options=Option.MKDIR_PARENTS), "make")


async def _replace_link(guest: Guest, path: str, *, also_files: bool = False) -> None:
    """Remove a link that would be written through, and what a new link would collide with."""
    try:
        existing = await files.stat(guest, path, follow=False)
    except FileError as error:
        if error.errno_name in ("ENOENT", "ENOTDIR"):
            return
        raise
    if existing.kind == "link" or (also_files and existing.kind == "file"):
        await perform(guest, FileOp(Kind.REMOVE, path), "replace")
