"""Frames: the bytes between owner and guest, as WIRE.md draws them; pure, no I/O.

 0  u32  length    of the payload, at most 65,520
 4  u32  crc       over bytes 8.. of the header and the payload
 8  u8   type
 9  u8   flags     1 = FIN
10  u16  zero
12  u32  channel
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32

HEADER = struct.Struct("<IIBBHI")
_LENGTH_AND_CRC = struct.Struct("<II")
_CHECKED = struct.Struct("<BBHI")
"""The part of the header that the checksum covers."""
_CHECKED_AT = 8

MAX_PAYLOAD = 65_520
FIN = 1
SYNC = bytes.fromhex("7f6465657064 0d0a1a00 53594e43 f59c")
RESYNC = bytes(65_536) + SYNC
"""What an attachment begins with: longer than any frame, so it ends whatever stood half-written."""


class FrameType(IntEnum):
    """What a frame says; below 64 the owner speaks, above it the guest."""

    HELLO = 1
    PING = 2
    OPEN = 3
    STDIN = 4
    ACK = 5
    KILL = 6
    RESIZE = 7
    FOLLOW = 8
    RELEASE = 9
    LEASE = 10
    SIGNAL = 11
    LANE = 12
    WELCOME = 65
    PONG = 66
    OPENED = 67
    DATA = 68
    CREDIT = 69
    EXIT = 70
    STATE = 71
    LANED = 72
    FILE = 73


class Frame(NamedTuple):
    """One frame whose checksum was right; nothing else about it is proven."""

    type: int
    flags: int
    channel: int
    payload: bytes


def encode(type_: FrameType, channel: int = 0, payload: bytes = b"", *, fin: bool = False) -> bytes:
    """Return the bytes of one frame."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a payload of {len(payload)} bytes does not fit a frame")
    checked = _CHECKED.pack(type_, FIN if fin else 0, 0, channel)
    crc = crc32(payload, crc32(checked))
    return b"".join((_LENGTH_AND_CRC.pack(len(payload), crc), checked, payload))


def encode_pieces(type_: FrameType, channel: int, payload: bytes) -> bytes:
    """Return a payload of any length as frames, the last of them with FIN."""
    if len(payload) <= MAX_PAYLOAD:
        return encode(type_, channel, payload, fin=True)
    frames = []
    for start in range(0, len(payload), MAX_PAYLOAD):
        piece = payload[start : start + MAX_PAYLOAD]
        frames.append(encode(type_, channel, piece, fin=start + MAX_PAYLOAD >= len(payload)))
    return b"".join(frames)


class Decoder:
    """Turns a byte stream into frames, and finds its feet again where bytes were lost.

    It keeps less than one frame between calls, whatever it is fed.
    """

    def __init__(self) -> None:
        self.hunting = True
        """It looks for SYNC and drops what stands before it."""
        self.losses = 0
        """How often bytes did not make a frame."""
        self.ends_at_loss = False
        """Whether a loss is the end: nothing that comes after it is a frame any more."""
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are whole now."""
        if not self._rest:
            frames, used = self._decode(data)
            if used < len(data):
                self._rest += memoryview(data)[used:]
            return frames
        self._rest += data
        frames, used = self._decode(self._rest)
        del self._rest[:used]
        return frames

    def _decode(self, data: bytes | bytearray) -> tuple[list[Frame], int]:
        """Return the whole frames in the data, and how many of its bytes are done with."""
        frames: list[Frame] = []
        position, end = 0, len(data)
        with memoryview(data) as view:
            while True:
                if self.losses and self.ends_at_loss:
                    return frames, end
                if self.hunting:
                    found = data.find(SYNC, position)
                    if found < 0:
                        # The last 15 bytes may be the beginning of a SYNC.
                        return frames, max(position, end - len(SYNC) + 1)
                    position = found + len(SYNC)
                    self.hunting = False
                body = position + HEADER.size
                if body > end:
                    return frames, position
                length, crc, type_, flags, zero, channel = HEADER.unpack_from(data, position)
                if length > MAX_PAYLOAD or zero or not (length or crc):
                    self._lose()
                    continue
                if body + length > end:
                    return frames, position
                start, position = position, body + length
                if crc32(view[start + _CHECKED_AT : position]) != crc:
                    self._lose()
                    continue
                frames.append(Frame(type_, flags, channel, bytes(view[body:position])))

    def expect_no_loss(self) -> None:
        """Take the next loss, unlike those before, as the end."""
        self.losses = 0
        self.ends_at_loss = True

    def _lose(self) -> None:
        self.hunting = True
        self.losses += 1
