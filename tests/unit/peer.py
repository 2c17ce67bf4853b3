"""A guest's side of the wire in Python, to play honest and lying guests in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from deepd.engine.lane import Lane
from deepd.errors import EngineError
from deepd.guest.fields import field, parse_fields, u32, u64
from deepd.guest.frames import RESYNC, Decoder, Frame, FrameType, encode

BOOT = bytes(range(16))


class MemoryStream:
    """A `ByteStream` whose other end is a pair of lists."""

    lane: Lane | None = None

    def __init__(self) -> None:
        self.sent = bytearray()
        self.closed = False
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self.on_write: Callable[[bytes], None] = lambda data: None

    async def read(self) -> bytes:
        return await self._incoming.get()

    def write(self, data: bytes) -> None:
        self.sent += data
        self.on_write(data)

    async def drain(self) -> None:
        if self.closed:
            raise EngineError("closed")
        await asyncio.sleep(0)

    async def aclose(self) -> None:
        self.closed = True
        self._incoming.put_nowait(b"")

    def feed(self, data: bytes) -> None:
        """Give bytes to the owner."""
        self._incoming.put_nowait(data)


Answer = Callable[["Peer", Frame], None]


class Peer:
    """Answers HELLO, keeps what it heard, and lets a test say anything."""

    def __init__(self, answer: Answer | None = None, *, greets: bool = True) -> None:
        self.stream = MemoryStream()
        self.stream.on_write = self._take
        self.heard: list[Frame] = []
        self.version = 1
        self._answer = answer
        self._greets = greets
        self._decoder = Decoder()

    def say(
        self, type_: FrameType, channel: int = 0, payload: bytes = b"", *, fin: bool = False
    ) -> None:
        self.stream.feed(encode(type_, channel, payload, fin=fin))

    def welcome(self, nonce: bytes) -> None:
        self.stream.feed(RESYNC)
        self.say(
            FrameType.WELCOME,
            0,
            field(1, nonce)
            + field(2, u32(self.version))
            + field(3, BOOT)
            + field(4, u32(1000))
            + field(5, u32(1000))
            + field(6, b"/home/user")
            + field(7, b"/bin/sh")
            + field(8, b"no space\x1b[31m")
            + field(99, b"unknown"),
        )

    def opened(self, channel: int) -> None:
        self.say(FrameType.OPENED, channel, u32(0))

    def data(self, channel: int, offset: int, data: bytes, stream: int = 1) -> None:
        self.say(FrameType.DATA, channel, u64(offset) + bytes([stream]) + data)

    def exit(self, channel: int, size: int = 0, *, how: int = 1, code: int = 0) -> None:
        self.say(
            FrameType.EXIT,
            channel,
            field(1, u32(how))
            + field(2, u32(code))
            + field(6, u64(1_500_000))
            + field(7, u64(size)),
        )

    def state(self, channel: int, state: int, acknowledged: int = 0, stdin: int = 0) -> None:
        self.say(FrameType.STATE, channel, u32(state) + u64(acknowledged) + u64(stdin))

    def of(self, type_: FrameType) -> list[Frame]:
        """All that was heard of one type."""
        return [frame for frame in self.heard if frame.type == type_]

    def _take(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            self.heard.append(frame)
            if frame.type == FrameType.HELLO and self._greets:
                self.welcome(dict(parse_fields(frame.payload))[1])
            if self._answer is not None:
                self._answer(self, frame)


async def settle(condition: Callable[[], object] = lambda: True) -> None:
    """Let the loop turn until the condition holds; nothing here waits for the outside."""
    for _ in range(1000):
        await asyncio.sleep(0)
        if condition():
            return
    raise AssertionError("the loop came to rest and the condition does not hold")


async def within(seconds: float, awaitable: Awaitable[object]) -> object:
    """Await with a limit, so that a test that hangs fails instead."""
    return await asyncio.wait_for(awaitable, seconds)
