"""The handshake by which a guest leaves its attached stream for a lane (WIRE.md, "The lane")."""

from __future__ import annotations

import asyncio
import logging
import os
from socket import socket

from deepd.engine.base import ByteStream
from deepd.engine.lane import Lane, Meeting
from deepd.engine.lane_stream import LaneStream
from deepd.errors import ProtocolError
from deepd.guest import fields
from deepd.guest.frames import Decoder, FrameType, encode

logger = logging.getLogger(__name__)

WITHIN = 1.0
"""Seconds that a guest has to come; it does so in a millisecond."""


class UnsureError(Exception):
    """Nobody can say by which way the guest speaks now: only another HELLO can."""


async def switch(
    stream: ByteStream, decoder: Decoder, lane: Lane, boot: bytes
) -> LaneStream | None:
    """Return the guest's stream over its lane, or `None` where it stays with this one.

    Nothing else may be written meanwhile. Raises `UnsureError`, or what the stream raises.
    """
    try:
        meeting = lane.meet()
    except OSError as error:
        logger.info("no lane to a sandbox: cannot listen in %s: %s", lane.folder, error)
        return None
    with meeting:
        stream.write(encode(FrameType.LANE, 0, _offer(meeting)))
        try:
            async with asyncio.timeout(WITHIN):
                status = await _answer(stream, decoder)
        except TimeoutError:
            raise UnsureError("the guest did not answer") from None
        if status:
            said = os.strerror(status) if status < 4096 else str(status)
            logger.info("no lane to a sandbox: its guest says: %s", said)
            return None
        return LaneStream(_taken(meeting, boot), stream)


def _offer(meeting: Meeting) -> bytes:
    return fields.field(1, meeting.name.encode()) + fields.field(2, meeting.token)


async def _answer(stream: ByteStream, decoder: Decoder) -> int:
    """Return the guest's errno, which is the last that it says here if that is 0."""
    while data := await stream.read():
        for frame in decoder.feed(data):
            if frame.type == FrameType.LANED and frame.channel == 0:
                return fields.number(frame.payload, 4)
            raise ProtocolError(f"the guest sent frame {frame.type} where LANED was due")
    raise ProtocolError("the guest's stream ended in the middle of a handshake")


def _taken(meeting: Meeting, boot: bytes) -> socket:
    found = meeting.take(boot)
    if found is None:
        raise UnsureError("the guest says that it came, and did not")
    return found
