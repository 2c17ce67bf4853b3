"""Messages: requests to the bytes of a frame's payload, and answers back; pure."""

from __future__ import annotations

from enum import IntEnum

from deepd.errors import ArgumentsError, ProtocolError
from deepd.guest import fields
from deepd.guest.requests import READ_ONLY, Execute, Exit, FileOp, GuestInfo, How, Kind, Version
from deepd.model.ids import CallId

MAX_OPEN = 1 << 20
"""Bytes of one request in all."""
_MAX_TIMEOUT = 0xFFFF_FFFF / 1000
_NO_ID = bytes(16)


class _Tag(IntEnum):
    ID = 1
    KIND = 2
    ARG = 3
    ENV = 4
    CWD = 5
    FLAGS = 6
    TIMEOUT = 7
    GRACE = 8
    OUTPUT_KILL = 9
    ROWS = 10
    COLS = 11
    PATH = 20
    PATH2 = 21
    OFFSET = 22
    SIZE = 23
    MODE = 24
    OPTIONS = 25
    GLOB = 26
    MATCH = 27
    NEEDLE = 28
    GIVEN = 29


def encode_request(call_id: CallId | None, request: Execute | FileOp) -> bytes:
    """Return the fields of OPEN; raise `ArgumentsError` for what no guest could accept."""
    if isinstance(request, Execute):
        if call_id is None:
            raise ArgumentsError("a command needs a call id")
        parts = _execute(request)
    else:
        if call_id is None and request.kind not in READ_ONLY:
            raise ArgumentsError(f"{request.kind.name.lower()} needs a call id")
        parts = _file_op(request)
    identity = fields.field(_Tag.ID, encode_id(call_id) if call_id else _NO_ID)
    encoded = b"".join((identity, *parts))
    if len(encoded) > MAX_OPEN:
        raise ArgumentsError(
            f"the request has {len(encoded):,} bytes, and {MAX_OPEN:,} are the most",
            next_step="write large text to a file first, or send it as stdin",
        )
    return encoded


def encode_id(call_id: CallId) -> bytes:
    """Return the 16 bytes of an id."""
    try:
        raw = bytes.fromhex(call_id)
    except ValueError:
        raw = b""
    if len(raw) != len(_NO_ID) or raw == _NO_ID:
        raise ArgumentsError(f"{call_id[:80]!r} is not a call id of 32 hexadecimal digits")
    return raw


def _execute(request: Execute) -> list[bytes]:
    if not request.args or not request.args[0]:
        raise ArgumentsError("the command is empty")
    if request.shell and len(request.args) != 1:
        raise ArgumentsError("a shell takes one command text, not a list")
    parts = [fields.field(_Tag.ARG, _raw(arg, "an argument")) for arg in request.args]
    for name, value in request.env.items():
        if not name or "=" in name:
            raise ArgumentsError(f"{name[:80]!r} is not a name of an environment variable")
        parts.append(fields.field(_Tag.ENV, _raw(f"{name}={value}", f"the variable {name[:80]}")))
    if request.cwd:
        parts.append(fields.field(_Tag.CWD, _raw(request.cwd, "the working folder")))
    flags = request.shell | (request.pty is not None) << 1 | request.stdin << 2 | request.merge << 3
    parts.append(fields.field(_Tag.FLAGS, fields.u32(flags)))
    if request.timeout is not None:
        parts.append(fields.field(_Tag.TIMEOUT, fields.u32(milliseconds(request.timeout) or 1)))
    parts.append(fields.field(_Tag.GRACE, fields.u32(milliseconds(request.grace))))
    if request.output_kill:
        parts.append(fields.field(_Tag.OUTPUT_KILL, _count(request.output_kill, "the limit")))
    if request.pty is not None:
        rows, cols = request.pty
        parts.append(fields.field(_Tag.ROWS, terminal_size(rows)))
        parts.append(fields.field(_Tag.COLS, terminal_size(cols)))
    return parts


def _file_op(request: FileOp) -> list[bytes]:
    if not request.path:
        raise ArgumentsError("the path is empty")
    parts = [
        fields.field(_Tag.KIND, fields.u32(request.kind)),
        fields.field(_Tag.PATH, _raw(request.path, "the path")),
    ]
    if request.offset:
        parts.append(fields.field(_Tag.OFFSET, _count(request.offset, "the offset")))
    if request.size or request.kind is Kind.WRITE:
        parts.append(fields.field(_Tag.SIZE, _count(request.size, "the size")))
    if request.mode is not None:
        parts.append(fields.field(_Tag.MODE, fields.u32(request.mode & 0o7777)))
    if request.options:
        parts.append(fields.field(_Tag.OPTIONS, fields.u32(request.options)))
    texts = (
        (_Tag.PATH2, request.path2, "the path"),
        (_Tag.GLOB, request.glob, "the pattern"),
        (_Tag.NEEDLE, request.needle, "the text"),
    )
    parts += [fields.field(tag, _raw(text, what)) for tag, text, what in texts if text]
    if request.match is not None:
        parts.append(fields.field(_Tag.MATCH, _version(request.match)))
    if request.given is not None:
        parts.append(fields.field(_Tag.GIVEN, fields.u64(request.given)))
    return parts


def milliseconds(seconds: float) -> int:
    """Return a duration as the wire has it, or raise `ArgumentsError`."""
    if not 0 <= seconds <= _MAX_TIMEOUT:
        raise ArgumentsError(f"{seconds} seconds are not between 0 and {_MAX_TIMEOUT:.0f}")
    return round(seconds * 1000)


def terminal_size(cells: int) -> bytes:
    """Return rows or columns as the wire has them, or raise `ArgumentsError`."""
    if not 1 <= cells <= 0xFFFF:
        raise ArgumentsError(f"a terminal cannot have {cells} rows or columns")
    return fields.u16(cells)


def _version(version: Version) -> bytes:
    mtime_ns = version.mtime_ns.to_bytes(8, "little", signed=True)
    return mtime_ns + fields.u64(version.inode) + fields.u64(version.size)


def _count(value: int, name: str) -> bytes:
    if not 0 <= value < 1 << 63:
        raise ArgumentsError(f"{name} must not be {value}")
    return fields.u64(value)


def _raw(value: str | bytes, name: str) -> bytes:
    try:
        raw = value if isinstance(value, bytes) else value.encode(errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise ArgumentsError(f"{name} has a character that cannot be encoded") from error
    if b"\0" in raw:
        raise ArgumentsError(f"{name} has a NUL character in it")
    return raw


def parse_exit(payload: bytes) -> Exit:
    """Return what EXIT says, or raise `ProtocolError`."""
    numbers = dict.fromkeys(range(1, 8), 0)
    sizes = {1: 4, 2: 4, 3: 4, 4: 8, 5: 8, 6: 8, 7: 8}
    note = ""
    for tag, value in fields.parse_fields(payload):
        if tag in sizes:
            numbers[tag] = fields.number(value, sizes[tag])
        elif tag == 8:
            note = fields.text(value)
    how, code, errno, stdout, stderr, wall, size = numbers.values()
    try:
        kind = How(how)
    except ValueError as error:
        raise ProtocolError(f"the guest says that a call ended in way {how}") from error
    return Exit(kind, code, errno, stdout, stderr, wall / 1e6, size, note)


def parse_welcome(payload: bytes) -> tuple[bytes, GuestInfo]:
    """Return the nonce that WELCOME answers and what the guest says of itself."""
    nonce, version, boot, uid, gid, home, shell = b"", 0, "", -1, -1, "", ""
    warnings: list[str] = []
    for tag, value in fields.parse_fields(payload):
        match tag:
            case 1:
                nonce = value
            case 2:
                version = fields.number(value, 4)
            case 3:
                boot = value[:16].hex()
            case 4:
                uid = fields.number(value, 4)
            case 5:
                gid = fields.number(value, 4)
            case 6:
                home = fields.text(value, 4096)
            case 7:
                shell = fields.text(value, 4096)
            case 8 if len(warnings) < 20:
                warnings.append(fields.text(value))
    return nonce, GuestInfo(version, boot, uid, gid, home, shell, tuple(warnings))
