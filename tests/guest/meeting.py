"""A guest of a test's own that goes to the meeting which it was offered."""

from __future__ import annotations

import socket
from pathlib import Path

from deepd.guest import fields
from deepd.guest.frames import Frame, FrameType, encode
from tests.unit.peer import BOOT


def laned(number: int) -> bytes:
    return encode(FrameType.LANED, 0, fields.u32(number))


def go(folder: Path, offer: Frame, said: bytes | None = None) -> socket.socket:
    """Go to the meeting that was offered, as a guest does."""
    told = dict(fields.parse_fields(offer.payload))
    going = socket.socket(socket.AF_UNIX)
    going.connect(str(folder / told[1].decode()))
    going.sendall(told[2] + BOOT if said is None else said)
    return going
