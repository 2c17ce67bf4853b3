"""What file operations return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
