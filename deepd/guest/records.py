"""Records: what file operations tell of one file, and the bytes around them; pure but for reading.

A record: u32 length of what follows, u8 kind, u32 mode, u32 uid, u32 gid, u64 size, u64 mtime_ns,
u64 inode, u16 length of the name, name, and the rest is a link's target.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from deepd.errors import ProtocolError
from deepd.guest.requests import Version
from deepd.model.files import FileKind, FileStat

_LENGTH = struct.Struct("<I")
_RECORD = struct.Struct("<BIIIQqQH")
MAX_RECORD = _RECORD.size + 2 * 65_535
_KINDS: dict[int, FileKind] = {1: "file", 2: "dir", 3: "link", 4: "other"}


@dataclass(frozen=True, slots=True)
class Record:
    """One file as the guest saw it; its name is relative to what was asked."""

    kind: FileKind
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    inode: int
    name: str
    target: str

    @property
    def version(self) -> Version:
        """What a later write can ask to find unchanged."""
        return Version(self.mtime_ns, self.inode, self.size)

    def stat(self, path: str) -> FileStat:
        """Return it as others know it, under the path that they know."""
        return FileStat(
            path=path,
            kind=self.kind,
            size=self.size,
            mode=self.mode,
            mtime_ns=self.mtime_ns,
            uid=self.uid,
            gid=self.gid,
            target=self.target,
        )


def encode_record(record: Record) -> bytes:
    """Return the bytes of a record."""
    name = record.name.encode(errors="surrogateescape")
    target = record.target.encode(errors="surrogateescape")
    kind = next(number for number, kind in _KINDS.items() if kind == record.kind)
    body = _RECORD.pack(
        kind,
        record.mode,
        record.uid,
        record.gid,
        record.size,
        record.mtime_ns,
        record.inode,
        len(name),
    )
    return b"".join((_LENGTH.pack(len(body) + len(name) + len(target)), body, name, target))


def parse_record(data: bytearray, position: int) -> tuple[Record, int] | None:
    """Return the record at a position and where it ends, `None` while it is not whole."""
    start = position + _LENGTH.size
    if start > len(data):
        return None
    (length,) = _LENGTH.unpack_from(data, position)
    if not _RECORD.size <= length <= MAX_RECORD:
        raise ProtocolError(f"the guest sent a record of {length} bytes")
    end = start + length
    if end > len(data):
        return None
    number, mode, uid, gid, size, mtime_ns, inode, name_length = _RECORD.unpack_from(data, start)
    named = start + _RECORD.size
    kind = _KINDS.get(number)
    if kind is None or size >= 1 << 63 or named + name_length > end:
        raise ProtocolError("the guest sent a record that does not add up")
    name = bytes(data[named : named + name_length])
    target = bytes(data[named + name_length : end])
    if b"\0" in name or b"\0" in target:
        raise ProtocolError("the guest sent a name with a NUL in it")
    record = Record(
        kind,
        mode & 0o7777,
        uid,
        gid,
        size,
        mtime_ns,
        inode,
        name.decode(errors="surrogateescape"),
        target.decode(errors="surrogateescape"),
    )
    return record, end


def checked_name(record: Record) -> str:
    """Return the name of something below a folder; a guest that leads out of it is refused."""
    name = record.name
    if not name or name[0] == "/" or (".." in name and ".." in name.split("/")):
        raise ProtocolError(f"the guest sent {name[:80]!r} as a name inside a folder")
    return name
