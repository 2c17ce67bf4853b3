"""One attachment: greeting, calls, following, and what a lost or lying guest does to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from deepd.errors import (
    ArgumentsError,
    CallLostError,
    ConflictError,
    EngineTimeoutError,
    GoneError,
    LimitError,
    ProtocolError,
)
from deepd.guest.call import WINDOW, GuestCall
from deepd.guest.connection import Guest
from deepd.guest.fields import field, parse_fields, u32, u64
from deepd.guest.frames import RESYNC, Frame, FrameType, encode
from deepd.guest.requests import Execute, FileOp, How, Kind
from deepd.model.ids import new_call_id
from tests.unit.peer import BOOT, Peer, settle

TRUE = Execute(("/bin/true",))


def accept(peer: Peer, frame: Frame) -> None:
    if frame.type == FrameType.OPEN and frame.flags:
        peer.opened(frame.channel)


async def connected(answer: Callable[[Peer, Frame], None] | None = accept) -> tuple[Peer, Guest]:
    peer = Peer(answer)
    return peer, await Guest.connect(peer.stream)


async def opened(peer: Peer, guest: Guest) -> GuestCall:
    return await guest.open(new_call_id(), TRUE)


async def test_a_greeting_tells_who_the_guest_is() -> None:
    peer, guest = await connected()
    assert guest.info.boot == BOOT.hex()
    assert (guest.info.uid, guest.info.home, guest.info.shell) == (1000, "/home/user", "/bin/sh")
    assert guest.info.warnings == ("no space\N{REPLACEMENT CHARACTER}[31m",)
    await guest.aclose()
    assert peer.stream.closed
    assert guest.closed


async def test_a_greeting_begins_with_a_resync_and_carries_the_lease() -> None:
    peer = Peer()
    guest = await Guest.connect(peer.stream, lease=0.2)
    assert peer.stream.sent.startswith(RESYNC)
    assert dict(parse_fields(peer.of(FrameType.HELLO)[0].payload))[3] == u32(1)
    await guest.set_lease(60)
    await guest.set_lease(None)
    assert [f.payload for f in peer.of(FrameType.LEASE)] == [u32(60), u32(0)]
    await guest.aclose()


async def test_frames_from_before_the_greeting_are_dropped() -> None:
    peer = Peer()
    peer.stream.feed(RESYNC + encode(FrameType.EXIT, 5, b"") + b"half a fra")
    peer.welcome(b"another!")
    peer.data(3, 0, b"of another owner")
    guest = await Guest.connect(peer.stream)
    assert guest.info.uid == 1000
    assert not guest.closed
    await guest.aclose()


async def test_a_guest_that_says_nothing_is_a_timeout() -> None:
    peer = Peer(greets=False)
    with pytest.raises(EngineTimeoutError, match="did not answer within"):
        await Guest.connect(peer.stream, deadline=0.05)
    assert peer.stream.closed


async def test_a_guest_of_another_version_is_refused_with_the_next_step() -> None:
    peer = Peer()
    peer.version = 2
    with pytest.raises(ProtocolError, match="version 2") as caught:
        await Guest.connect(peer.stream)
    assert "remove the sandbox" in caught.value.next_step


async def test_a_stream_that_ends_before_the_greeting_is_an_error() -> None:
    peer = Peer(greets=False)
    peer.stream.feed(b"")
    with pytest.raises(ProtocolError, match="before it said hello"):
        await Guest.connect(peer.stream)


async def test_a_small_request_is_one_frame_in_one_write() -> None:
    writes: list[bytes] = []
    peer, guest = await connected()
    take = peer.stream.on_write

    def note(data: bytes) -> None:
        writes.append(data)
        take(data)

    peer.stream.on_write = note
    await guest.open(new_call_id(), TRUE)
    assert len(writes) == 1
    assert len(peer.of(FrameType.OPEN)) == 1
    await guest.aclose()


async def test_output_comes_in_order_and_then_the_end() -> None:
    peer, guest = await connected()
    call = await opened(peer, guest)
    peer.data(call.channel, 0, b"one")
    peer.data(call.channel, 3, b"two", stream=2)
    peer.exit(call.channel, 6, code=3)
    chunks = [await call.read(), await call.read(), await call.read()]
    assert [(c.offset, c.stream, c.data) for c in chunks if c] == [(0, 1, b"one"), (3, 2, b"two")]
    end = await call.wait()
    assert (end.how, end.code, end.wall) == (How.EXITED, 3, 1.5)
    assert call.state == "finished"
    await guest.aclose()


async def test_reading_does_not_acknowledge_by_itself() -> None:
    peer, guest = await connected()
    call = await opened(peer, guest)
    peer.data(call.channel, 0, b"output")
    await call.read()
    assert peer.of(FrameType.ACK) == []
    call.ack(4)
    call.ack(2)
    call.ack(6)
    assert [f.payload for f in peer.of(FrameType.ACK)] == [u64(4), u64(6)]
    with pytest.raises(ValueError, match="received only"):
        call.ack(7)
    await guest.aclose()


async def test_input_waits_for_credit_and_ends_once() -> None:
    peer, guest = await connected()
    call = await opened(peer, guest)
    writing = asyncio.create_task(call.write_stdin(b"0123456789"))
    await settle()
    assert peer.of(FrameType.STDIN) == []
    peer.say(FrameType.CREDIT, call.channel, u64(4))
    await settle(lambda: peer.of(FrameType.STDIN))
    assert not writing.done()
    peer.say(FrameType.CREDIT, call.channel, u64(100))
    await writing
    await call.close_stdin()
    await call.close_stdin()
    assert [(f.payload, f.flags) for f in peer.of(FrameType.STDIN)] == [
        (b"0123", 0),
        (b"456789", 0),
        (b"", 1),
    ]
    await guest.aclose()


async def test_input_for_a_call_that_ended_is_dropped() -> None:
    peer, guest = await connected()
    call = await opened(peer, guest)
    writing = asyncio.create_task(call.write_stdin(b"too late"))
    await settle()
    peer.exit(call.channel)
    await asyncio.wait_for(writing, 30)
    assert peer.of(FrameType.STDIN) == []
    await guest.aclose()


@pytest.mark.parametrize(
    ("status", "error"),
    [(1, ConflictError), (2, LimitError), (3, ArgumentsError), (9, ProtocolError)],
)
async def test_a_refused_request_says_why(status: int, error: type[Exception]) -> None:
    def refuse(peer: Peer, frame: Frame) -> None:
        if frame.type == FrameType.OPEN:
            peer.say(FrameType.OPENED, frame.channel, u32(status) + b"because")

    _, guest = await connected(refuse)
    with pytest.raises(error):
        await guest.open(new_call_id(), TRUE)
    assert not guest.closed
    await guest.aclose()


@pytest.mark.parametrize(
    "request_",
    [
        Execute(()),
        Execute(("",)),
        Execute(("a\0b",)),
        Execute(("a", "b"), shell=True),
        Execute(("a",), env={"A=B": "x"}),
        Execute(("a",), timeout=-1),
        Execute(("a",), pty=(0, 80)),
        Execute(("a", "x" * (1 << 20))),
        FileOp(Kind.READ, ""),
        FileOp(Kind.READ, "a", offset=-1),
        FileOp(Kind.STAT, "\ud800"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_before_it_is_sent(
    request_: Execute | FileOp,
) -> None:
    peer, guest = await connected()
    with pytest.raises(ArgumentsError):
        await guest.open(new_call_id(), request_)
    assert peer.of(FrameType.OPEN) == []
    await guest.aclose()


async def test_what_changes_something_needs_an_id() -> None:
    _, guest = await connected()
    for request in (TRUE, FileOp(Kind.WRITE, "a"), FileOp(Kind.REMOVE, "a")):
        with pytest.raises(ArgumentsError, match="needs a call id"):
            await guest.open(None, request)
    await guest.aclose()


async def test_a_followed_call_goes_on_where_it_was_stored() -> None:
    def running(peer: Peer, frame: Frame) -> None:
        if frame.type == FrameType.FOLLOW:
            peer.state(frame.channel, 1, acknowledged=100, stdin=7)
            peer.data(frame.channel, 150, b"rest")
            peer.exit(frame.channel, 154)

    peer, guest = await connected(running)
    call_id = new_call_id()
    call = await guest.follow(call_id, offset=150)
    assert call is not None
    assert call.stdin_sent == 7
    assert peer.of(FrameType.FOLLOW)[0].payload == bytes.fromhex(call_id) + u64(150)
    chunk = await call.read()
    assert chunk is not None
    assert (chunk.offset, chunk.data) == (150, b"rest")
    assert (await call.wait()).size == 154
    guest.release(call_id)
    assert peer.of(FrameType.RELEASE)[0].payload == bytes.fromhex(call_id)
    await guest.aclose()


async def test_following_tells_unknown_from_released() -> None:
    states = iter([0, 3])

    def answer(peer: Peer, frame: Frame) -> None:
        if frame.type == FrameType.FOLLOW:
            peer.state(frame.channel, next(states))

    _, guest = await connected(answer)
    assert await guest.follow(new_call_id()) is None
    with pytest.raises(GoneError):
        await guest.follow(new_call_id())
    await guest.aclose()


async def test_following_a_call_that_is_attached_here_takes_it_over() -> None:
    def answer(peer: Peer, frame: Frame) -> None:
        accept(peer, frame)
        if frame.type == FrameType.FOLLOW:
            peer.data(1, 0, b"on its way already")
            peer.state(frame.channel, 1)
            peer.data(frame.channel, 0, b"on its way already")

    _, guest = await connected(answer)
    call_id = new_call_id()
    former = await guest.open(call_id, TRUE)
    call = await guest.follow(call_id)
    assert call is not None
    chunk = await call.read()
    assert chunk is not None
    assert chunk.data == b"on its way already"
    with pytest.raises(CallLostError, match="followed from elsewhere"):
        await former.wait()
    assert not guest.closed
    await guest.aclose()


async def test_a_lost_stream_loses_every_call_after_what_was_received() -> None:
    peer, guest = await connected()
    first, second = await opened(peer, guest), await opened(peer, guest)
    waiting = asyncio.create_task(second.wait())
    writing = asyncio.create_task(second.write_stdin(b"x"))
    peer.data(first.channel, 0, b"kept")
    peer.stream.feed(b"")
    await asyncio.wait_for(guest.wait_closed(), 30)
    assert (await first.read()) is not None
    for lost in (first.read(), first.wait(), waiting, writing):
        with pytest.raises(CallLostError):
            await lost
    with pytest.raises(CallLostError):
        guest.open(new_call_id(), TRUE)
    assert peer.stream.closed


async def test_a_request_whose_answer_never_comes_is_lost_with_the_stream() -> None:
    peer, guest = await connected(None)
    asking = asyncio.ensure_future(guest.open(new_call_id(), TRUE))
    await settle()
    peer.stream.feed(b"")
    with pytest.raises(CallLostError):
        await asking


async def test_a_cancelled_question_is_ended_in_the_guest() -> None:
    peer, guest = await connected(None)
    asking = asyncio.ensure_future(guest.open(None, FileOp(Kind.SCAN, ".")))
    await settle(lambda: peer.of(FrameType.OPEN))
    asking.cancel()
    await settle(lambda: peer.of(FrameType.KILL))
    peer.opened(1)
    peer.data(1, 0, b"nobody reads it")
    peer.exit(1, 15, how=4)
    await settle(lambda: peer.of(FrameType.ACK))
    assert not guest.closed
    await guest.aclose()


async def test_another_owner_ends_the_attachment() -> None:
    peer, guest = await connected()
    call = await opened(peer, guest)
    peer.welcome(b"another!")
    with pytest.raises(CallLostError, match="another process"):
        await call.wait()
    assert isinstance(guest.error, ProtocolError)


def flood(peer: Peer, channel: int) -> None:
    for offset in range(0, WINDOW + 1, 32768):
        peer.data(channel, offset, bytes(32768))


def end_twice(peer: Peer, channel: int) -> None:
    peer.exit(channel)
    peer.exit(channel)


LIES: dict[str, Callable[[Peer, int], None]] = {
    "a channel that is not in use": lambda peer, _: peer.data(99, 0, b"x"),
    "an offset that jumps": lambda peer, channel: peer.data(channel, 5, b"x"),
    "an unknown stream": lambda peer, channel: peer.data(channel, 0, b"x", stream=3),
    "output without a head": lambda peer, ch: peer.say(FrameType.DATA, ch, b"short"),
    "more than the window": flood,
    "an end before the output": lambda peer, channel: peer.exit(channel, 10),
    "an end of no known kind": lambda peer, channel: peer.exit(channel, how=77),
    "a number of the wrong size": lambda peer, ch: peer.say(FrameType.EXIT, ch, field(1, b"x")),
    "half a field": lambda peer, ch: peer.say(FrameType.EXIT, ch, b"\1\4"),
    "a field longer than its frame": lambda p, ch: p.say(FrameType.EXIT, ch, b"\1\xff\xff\0\0x"),
    "credit of the wrong size": lambda peer, ch: peer.say(FrameType.CREDIT, ch, b"abc"),
    "an answer to nothing": lambda peer, ch: peer.opened(ch),
    "a frame that only owners send": lambda peer, ch: peer.say(FrameType.STDIN, ch),
    "two ends": end_twice,
    "bytes that are no frame": lambda peer, _: peer.stream.feed(b"\xff" * 100),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lying_guest_loses_its_stream_and_hurts_no_other(lie: str) -> None:
    liar, guest = await connected()
    honest, other = await connected()
    call, unharmed = await opened(liar, guest), await opened(honest, other)
    pending = await opened(liar, guest)
    LIES[lie](liar, call.channel)
    with pytest.raises(CallLostError):
        await asyncio.wait_for(pending.wait(), 30)
    assert isinstance(guest.error, ProtocolError)
    assert liar.stream.closed
    honest.exit(unharmed.channel)
    assert (await unharmed.wait()).code == 0
    await other.aclose()


async def test_a_guest_that_answers_with_something_else_loses_its_stream() -> None:
    def answer(peer: Peer, frame: Frame) -> None:
        if frame.type == FrameType.OPEN:
            peer.exit(frame.channel)

    _, guest = await connected(answer)
    with pytest.raises(CallLostError):
        await guest.open(new_call_id(), TRUE)
    assert isinstance(guest.error, ProtocolError)


async def test_a_call_can_be_killed_signalled_and_resized_and_what_it_left_killed() -> None:
    peer, guest = await connected()
    call = await opened(peer, guest)
    call.kill(0.25)
    call.signal(2)
    call.resize(50, 132)
    assert peer.of(FrameType.KILL)[0].payload == u32(250)
    assert peer.of(FrameType.SIGNAL)[0].payload == u32(2)
    assert peer.of(FrameType.RESIZE)[0].payload == b"\x32\0\x84\0"
    peer.exit(call.channel)
    await call.wait()
    call.abandon()
    assert len(peer.of(FrameType.KILL)) == 1
    call.kill()
    assert len(peer.of(FrameType.KILL)) == 2
    await guest.aclose()


async def test_an_abandoned_call_is_killed_drained_and_released() -> None:
    peer, guest = await connected()
    call = await opened(peer, guest)
    peer.data(call.channel, 0, b"unread")
    await settle()
    call.abandon()
    assert await call.read() is None
    peer.data(call.channel, 6, bytes(1000))
    peer.exit(call.channel, 1006, how=4)
    await settle(lambda: peer.of(FrameType.RELEASE))
    assert [f.payload for f in peer.of(FrameType.ACK)] == [u64(6), u64(1006)]
    await guest.aclose()
