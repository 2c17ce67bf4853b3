"""Requests: what the owner asks of a guest, and what it hears back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag


class Kind(IntEnum):
    """What a file operation does."""

    STAT = 32
    LIST = 33
    READ = 34
    WRITE = 35
    MKDIR = 36
    REMOVE = 37
    RENAME = 38
    REALPATH = 39
    WALK = 40
    SCAN = 41
    SYMLINK = 42
    CHMOD = 43
    UTIME = 44


READ_ONLY = frozenset({Kind.STAT, Kind.LIST, Kind.READ, Kind.REALPATH, Kind.WALK, Kind.SCAN})
"""These may be asked without an id: nothing happens twice when they do."""


class Option(IntFlag):
    """How a file operation is meant; each is for the kinds that its name begins with."""

    STAT_NO_FOLLOW = 1
    WRITE_EXCLUSIVE = 1
    WRITE_APPEND = 2
    WRITE_PARENTS = 4
    READ_PASS = 1
    MKDIR_PARENTS = 1
    REMOVE_RECURSIVE = 1
    RENAME_EXCLUSIVE = 1
    REALPATH_MISSING = 1
    WALK_SKIP_HIDDEN = 1
    SCAN_BINARY = 2


class How(IntEnum):
    """How a call ended."""

    EXITED = 1
    SIGNALLED = 2
    TIMED_OUT = 3
    KILLED = 4
    OUTPUT = 5
    """Its output went over `output_kill`."""
    NOT_STARTED = 6
    FILE = 7
    """It was a file operation; `code` 0 is success."""


@dataclass(frozen=True, slots=True)
class GuestInfo:
    """What a guest says of itself; evidence, not truth."""

    version: int
    boot: str
    """32 hexadecimal digits, new with each start of the guest."""
    uid: int
    gid: int
    home: str
    shell: str
    """Empty when the image has none."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Execute:
    """Run a program, or a command text by the sandbox's shell."""

    args: tuple[str | bytes, ...]
    shell: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    """Empty: the work dir."""
    pty: tuple[int, int] | None = None
    """Rows and columns of a terminal; `None` runs with pipes."""
    stdin: bool = False
    """Whether input will be written; else it is /dev/null."""
    merge: bool = False
    """Send stderr to stdout."""
    timeout: float | None = None
    grace: float = 0.5
    """Seconds between TERM and KILL when the time is up."""
    output_kill: int = 0
    """End the call when it has printed more bytes than that; 0 never."""


@dataclass(frozen=True, slots=True)
class Version:
    """What a file was when it was read: a write can ask that it still is."""

    mtime_ns: int
    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class FileOp:
    """Do something with a file, as the sandbox's user; WIRE.md says what each kind takes."""

    kind: Kind
    path: str
    path2: str = ""
    offset: int = 0
    size: int = 0
    mode: int | None = None
    options: int = 0
    glob: str = ""
    """Tell only what has such a name; the folders are walked all the same."""
    needle: str = ""
    """Send only files in which this text is."""
    match: Version | None = None
    given: int | None = None
    """The inode of the descriptor that goes along with it: its bytes."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a call ended, as the guest tells it."""

    how: How
    code: int
    errno: int = 0
    stdout: int = 0
    """Bytes printed to it in all."""
    stderr: int = 0
    wall: float = 0.0
    """Seconds from start to end."""
    size: int = 0
    """The offset after the last byte of output."""
    note: str = ""
