"""Leaving the attached stream for a lane, with guests that come, do not come, and lie."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from deepd.engine.lane import Lane
from deepd.engine.process import ProcessStream
from deepd.errors import CallLostError, ProtocolError
from deepd.guest import switch
from deepd.guest.connection import Guest
from deepd.guest.frames import Frame, FrameType, encode
from deepd.guest.requests import Execute, FileOp, Kind
from deepd.model.ids import new_call_id
from tests.guest.meeting import go, laned
from tests.unit.peer import Peer

COUNT = Execute(("seq", "1", "200000"))
NUMBERS = b"".join(b"%d\n" % number for number in range(1, 200_001))


async def rest(guest: Guest, request: Execute | FileOp, stdin: bytes = b"") -> bytes:
    """Make a call and return its output."""
    call = await guest.open(new_call_id(), request)
    if stdin:
        await call.write_stdin(stdin)
        await call.close_stdin()
    printed = b""
    while (chunk := await call.read()) is not None:
        printed += chunk.data
        call.ack(chunk.offset + len(chunk.data))
    assert (await call.wait()).code == 0
    return printed


async def test_much_goes_both_ways_over_a_lane(stream: ProcessStream) -> None:
    guest = await Guest.connect(stream)
    assert guest.has_lane
    data = os.urandom(3_000_000)
    summed = await rest(guest, Execute(("sha256sum",), stdin=True), data)
    assert summed.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert await rest(guest, COUNT) == NUMBERS
    await rest(guest, FileOp(Kind.WRITE, "file", size=len(data)), data)
    assert (await rest(guest, FileOp(Kind.READ, "file")))[-len(data) :] == data
    await guest.aclose()


async def test_a_guest_that_ends_loses_its_calls_over_a_lane(stream: ProcessStream) -> None:
    guest = await Guest.connect(stream)
    call = await guest.open(new_call_id(), Execute(("sleep", "60")))
    os.kill(stream.process.pid, 9)
    with pytest.raises(CallLostError):
        await asyncio.wait_for(call.wait(), 30)
    await guest.aclose()


async def test_what_was_written_before_letting_go_arrives(
    stream: ProcessStream, workspace: Path
) -> None:
    guest = await Guest.connect(stream)
    call_id = new_call_id()
    call = await guest.open(call_id, Execute(("cat > copy",), shell=True, stdin=True))
    data = os.urandom(200_000)
    await call.write_stdin(data)
    await call.close_stdin()
    await guest.aclose()
    again = await Guest.connect(stream.process.open())
    assert not again.has_lane
    followed = await again.follow(call_id)
    assert followed is not None
    assert (await followed.wait()).code == 0
    assert (workspace / "copy").read_bytes() == data
    await again.aclose()


Say = Callable[[Peer, Frame], None]


async def connected(folder: Path, answer: Say, *, pid: int = 0) -> Guest:
    """Connect to a guest of the test's own, which is offered a lane in the folder."""
    peer = Peer(answer)
    peer.stream.lane = Lane(folder, pid)
    return await asyncio.wait_for(Guest.connect(peer.stream), 20)


async def test_a_guest_that_says_no_stays(tmp_path: Path) -> None:
    def answer(peer: Peer, frame: Frame) -> None:
        if frame.type == FrameType.LANE:
            peer.stream.feed(laned(errno.EACCES))

    guest = await connected(tmp_path, answer)
    assert not guest.has_lane
    assert list(tmp_path.iterdir()) == []
    await guest.aclose()


@pytest.mark.parametrize("said", [b"", bytes(48), None], ids=["nothing", "a guess", "nobody"])
async def test_a_guest_that_says_it_came_and_did_not_is_greeted_again(
    tmp_path: Path, said: bytes | None
) -> None:
    greeted: list[Frame] = []
    went: list[socket.socket] = []

    def answer(peer: Peer, frame: Frame) -> None:
        if frame.type == FrameType.HELLO:
            greeted.append(frame)
        if frame.type == FrameType.LANE:
            if said is not None:
                went.append(go(tmp_path, frame, said))
            peer.stream.feed(laned(0))

    guest = await connected(tmp_path, answer)
    assert not guest.has_lane
    assert len(greeted) == 2
    await guest.aclose()
    for one in went:
        one.close()


async def test_a_guest_that_does_not_answer_is_greeted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "WITHIN", 0.05)
    greeted: list[Frame] = []

    def answer(_: Peer, frame: Frame) -> None:
        if frame.type == FrameType.HELLO:
            greeted.append(frame)

    guest = await connected(tmp_path, answer)
    assert not guest.has_lane
    assert len(greeted) == 2
    await guest.aclose()


async def test_a_folder_that_is_gone_is_no_harm(tmp_path: Path) -> None:
    guest = await connected(tmp_path / "gone", lambda _, __: None)
    assert not guest.has_lane
    await guest.aclose()


async def test_a_guest_that_says_something_else_breaks_the_rules(tmp_path: Path) -> None:
    def answer(peer: Peer, frame: Frame) -> None:
        if frame.type == FrameType.LANE:
            peer.stream.feed(encode(FrameType.EXIT, 1, b""))

    with pytest.raises(ProtocolError, match="LANED"):
        await connected(tmp_path, answer)


async def test_a_lie_over_the_lane_ends_it(tmp_path: Path) -> None:
    went: list[socket.socket] = []

    def answer(peer: Peer, frame: Frame) -> None:
        if frame.type == FrameType.LANE:
            went.append(go(tmp_path, frame))
            peer.stream.feed(laned(0))

    guest = await connected(tmp_path, answer, pid=os.getpid())
    assert guest.has_lane
    with went[0] as lane:
        lane.sendall(encode(FrameType.DATA, 7, bytes(9)))
        await asyncio.wait_for(guest.wait_closed(), 20)
    assert "channel 7" in str(guest.error)


async def test_bytes_that_are_no_frames_end_the_lane(tmp_path: Path) -> None:
    went: list[socket.socket] = []

    def answer(peer: Peer, frame: Frame) -> None:
        if frame.type == FrameType.LANE:
            went.append(go(tmp_path, frame))
            peer.stream.feed(laned(0))

    guest = await connected(tmp_path, answer)
    with went[0] as lane:
        lane.sendall(b"\xff" * 100)
        await asyncio.wait_for(guest.wait_closed(), 20)
    assert "lost" in str(guest.error)
