"""Tar: reads entries from a stream of bytes that nobody vouches for."""

from __future__ import annotations

import re
import tarfile
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Literal

from deepd.errors import ArgumentsError

_BLOCK = tarfile.BLOCKSIZE
_MAX_EXTENSION = 256 * 1024
"""Bytes of a long name or of extended attributes."""
_KINDS: dict[bytes, EntryKind] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "link",
}
_PAX = re.compile(rb"(\d{1,7}) ([^=]{1,200})=")

EntryKind = Literal["file", "dir", "link"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry in front of its content."""

    kind: EntryKind
    name: str
    target: str
    mode: int
    size: int


class TarReader:
    """Yields entries, whose content is read before the next one, in whole or not at all."""

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source = aiter(source)
        self._data = bytearray()
        self._left = 0
        """Bytes of the last entry's content that were not read."""
        self._padding = 0

    async def entries(self) -> AsyncIterator[Entry]:
        """Yield the entries up to the archive's end; raise `ArgumentsError` for what is no tar."""
        name, target, size = None, None, None
        while (head := await self._head()) is not None:
            if head.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
                text = (await self._extension(head)).rstrip(b"\0").decode(errors="surrogateescape")
                name, target = (
                    (text, target) if head.type == tarfile.GNUTYPE_LONGNAME else (name, text)
                )
            elif head.type == tarfile.XHDTYPE:
                attributes = parse_pax(await self._extension(head))
                name = attributes.get(b"path", name)
                target = attributes.get(b"linkpath", target)
                size = attributes.get(b"size", size)
            elif head.type == tarfile.XGLTYPE:
                await self._extension(head)
            else:
                yield self._entry(head, name, target, size)
                name, target, size = None, None, None
                async for _ in self.content():
                    pass

    async def content(self) -> AsyncIterator[bytes]:
        """Yield what is left of the last entry's content."""
        while self._left:
            piece = await self._take(min(self._left, 256 * 1024), whole=False)
            self._left -= len(piece)
            yield piece
        padding, self._padding = self._padding, 0
        await self._take(padding)

    def _entry(
        self, head: tarfile.TarInfo, name: str | None, target: str | None, size: str | None
    ) -> Entry:
        kind = _KINDS.get(head.type)
        full = name if name is not None else head.name
        if kind is None:
            raise ArgumentsError(
                f"{full[:200]!r} in the archive is neither a file, a folder nor a symbolic link"
            )
        if size is not None and (not size.isdecimal() or len(size) > 18):
            raise ArgumentsError(f"{full[:200]!r} in the archive has no size that makes sense")
        length = int(size) if size is not None else head.size
        # An old tar marks folders by a slash at the end of the name only.
        if head.type == tarfile.AREGTYPE and full.endswith("/"):
            kind = "dir"
        self._expect(length if kind == "file" else 0)
        return Entry(
            kind,
            full,
            target if target is not None else head.linkname,
            head.mode & 0o777,
            self._left,
        )

    async def _head(self) -> tarfile.TarInfo | None:
        block = await self._take(_BLOCK)
        if not block.strip(b"\0"):
            return None
        try:
            head = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise ArgumentsError(f"this is not a tar archive: {error}") from error
        if head.size < 0:
            raise ArgumentsError("the archive has an entry of negative size")
        return head

    async def _extension(self, head: tarfile.TarInfo) -> bytes:
        if head.size > _MAX_EXTENSION:
            raise ArgumentsError("the archive has a name or attributes of unreasonable length")
        self._expect(head.size)
        return b"".join([piece async for piece in self.content()])

    def _expect(self, size: int) -> None:
        self._left = size
        self._padding = -size % _BLOCK

    async def _take(self, size: int, *, whole: bool = True) -> bytes:
        while len(self._data) < (size if whole else min(size, 1)):
            try:
                self._data += await anext(self._source)
            except StopAsyncIteration:
                raise ArgumentsError("the archive ends in the middle") from None
        taken = bytes(memoryview(self._data)[:size])
        del self._data[: len(taken)]
        return taken


def parse_pax(data: bytes) -> dict[bytes, str]:
    """Return the extended attributes `length name=value` of an entry."""
    attributes: dict[bytes, str] = {}
    position = 0
    while position < len(data):
        match = _PAX.match(data, position)
        end = position + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(data) or data[end - 1] != ord("\n"):
            raise ArgumentsError("the archive has extended attributes that make no sense")
        attributes[match[2]] = data[match.end() : end - 1].decode(errors="surrogateescape")
        position = end
    return attributes
