"""What file operations return."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import FileIO
from typing import Literal, NamedTuple

FileKind = Literal["file", "dir", "link", "other"]


@dataclass(frozen=True, slots=True)
class FileStat:
    """One directory entry or path inside a sandbox."""

    path: str
    kind: FileKind
    size: int
    mode: int
    """Permission bits, such as 0o644."""
    mtime_ns: int
    uid: int
    gid: int
    target: str = ""
    """Where a link points, as written in it."""


@dataclass(frozen=True, slots=True)
class Match:
    """One line that a search found."""

    path: str
    line_number: int
    line: str


class FilePart:
    """Bytes of an open file, to be read or copied by its descriptor.

    Closed when nobody has it any more: a thread that copies it may outlive who waits for that.
    """

    __slots__ = ("descriptor", "offset", "size")

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.size = size
        """Bytes from the offset on, as many as were there when it was looked at."""

    def __del__(self) -> None:
        os.close(self.descriptor)


class Extent(NamedTuple):
    """Where the bytes of one record of output are in the file that keeps it."""

    offset: int
    """Of its first byte in the call's output."""
    stream: int
    at: int
    """Of its first byte in the file."""
    length: int


class SpooledOutput(NamedTuple):
    """The output of a call in an open file, which whoever has this closes."""

    file: FileIO
    extents: list[Extent]
