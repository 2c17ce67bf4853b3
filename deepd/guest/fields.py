"""Fields: the tagged values inside a frame's payload; pure."""

from __future__ import annotations

import struct

from deepd.errors import ProtocolError

_FIELD = struct.Struct("<BI")


def field(tag: int, value: bytes) -> bytes:
    """Return one encoded field."""
    return _FIELD.pack(tag, len(value)) + value


def u16(value: int) -> bytes:
    """Return the number in 2 bytes."""
    return value.to_bytes(2, "little")


def u32(value: int) -> bytes:
    """Return the number in 4 bytes."""
    return value.to_bytes(4, "little")


def u64(value: int) -> bytes:
    """Return the number in 8 bytes."""
    return value.to_bytes(8, "little")


def parse_fields(payload: bytes) -> list[tuple[int, bytes]]:
    """Return tag and value of each field; raise `ProtocolError` where they do not add up."""
    found = []
    position, end = 0, len(payload)
    while position < end:
        start = position + _FIELD.size
        if start > end:
            raise ProtocolError("the guest sent half a field")
        tag, length = _FIELD.unpack_from(payload, position)
        position = start + length
        if position > end:
            raise ProtocolError("the guest sent a field that is longer than its frame")
        found.append((tag, payload[start:position]))
    return found


def number(value: bytes, size: int) -> int:
    """Return the number in a value that must have exactly this size."""
    if len(value) != size:
        raise ProtocolError(f"the guest sent a number in {len(value)} bytes instead of {size}")
    return int.from_bytes(value, "little")


def text(value: bytes, limit: int = 1_000) -> str:
    """Return what a guest says to people: short, printable, valid."""
    decoded = value[: 4 * limit].decode(errors="replace")[:limit]
    if decoded.isprintable():
        return decoded
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in decoded)
