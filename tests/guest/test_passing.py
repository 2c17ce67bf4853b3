"""Large files over a lane: passed where that can be, else sent, and what a guest may not do."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from deepd.engine.lane import Lane
from deepd.engine.lane_stream import LaneStream
from deepd.engine.process import ProcessStream
from deepd.errors import CallLostError, DeepdError, FileError, ProtocolError
from deepd.guest import fields
from deepd.guest.connection import Guest
from deepd.guest.frames import Decoder, Frame, FrameType, encode
from deepd.guest.requests import FileOp, Kind
from deepd.model.files import FilePart
from deepd.model.ids import new_call_id
from deepd.model.sealed import Sealed
from deepd.sandbox.sandbox import Sandbox
from tests.eventually import eventually
from tests.guest.meeting import go, laned
from tests.unit.peer import Peer

LARGE = os.urandom(3_000_000)


@pytest.fixture
async def sandbox(stream: ProcessStream, workspace: Path) -> AsyncIterator[Sandbox]:
    guest = await Guest.connect(stream)
    assert guest.passes
    yield Sandbox(guest, work_dir=str(workspace))
    await guest.aclose()


async def parts(sandbox: Sandbox, path: str, offset: int = 0, size: int | None = None) -> list[str]:
    """Return in which ways a file came."""
    return [type(part).__name__ async for part in sandbox.parts(path, offset, size)]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_large_file_is_read_from_the_file_itself(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "file").write_bytes(LARGE)
    assert await parts(sandbox, "file") == ["FilePart"]
    before = open_files()
    assert await sandbox.read("file") == LARGE
    assert await sandbox.read("file", 10, 1_000_000) == LARGE[10:1_000_010]
    rest = [piece async for piece in sandbox.stream("file", 2_000_000)]
    assert b"".join(rest) == LARGE[2_000_000:]
    assert await sandbox.read("file", len(LARGE)) == b""
    await eventually(lambda: open_files() == before)


async def test_whoever_stops_reading_lets_go_of_the_file(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "file").write_bytes(LARGE)
    before = open_files()
    reading = sandbox.parts("file")
    part = await anext(reading)
    assert isinstance(part, FilePart)
    assert open_files() == before + 1
    del part
    await reading.aclose()
    assert open_files() == before


async def test_bytes_are_passed_and_written(sandbox: Sandbox, workspace: Path) -> None:
    before = open_files()
    stat = await sandbox.write("sealed", Sealed.of_bytes(LARGE))
    assert stat.size == len(LARGE)
    await sandbox.write("bytes", LARGE)
    await sandbox.write("bytes", LARGE[:200_000], append=True)
    assert (workspace / "sealed").read_bytes() == LARGE
    assert (workspace / "bytes").read_bytes() == LARGE + LARGE[:200_000]
    # The thread that made them may hold them for a moment longer.
    await eventually(lambda: open_files() == before)


async def test_a_refused_write_says_why_also_when_it_was_given_its_bytes(sandbox: Sandbox) -> None:
    await sandbox.write("file", LARGE)
    with pytest.raises(FileError, match="exists"):
        await sandbox.write("file", LARGE, exclusive=True)


async def test_what_cannot_be_passed_is_sent(
    sandbox: Sandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LaneStream, "write_passing", lambda *_: False)
    await sandbox.write("file", LARGE)
    assert (workspace / "file").read_bytes() == LARGE
    assert sandbox.guest.passes


async def test_bytes_for_which_there_is_no_memory_are_sent(
    sandbox: Sandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOMEM, "no memory")

    monkeypatch.setattr(os, "memfd_create", refuse)
    await sandbox.write("file", LARGE)
    assert (workspace / "file").read_bytes() == LARGE


async def test_a_descriptor_that_is_lost_to_the_guest_is_made_up_for(
    sandbox: Sandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send_bare(stream: LaneStream, data: bytes, _: int) -> bool:
        stream.write(data)
        return True

    monkeypatch.setattr(LaneStream, "write_passing", send_bare)
    await sandbox.write("file", LARGE)
    assert (workspace / "file").read_bytes() == LARGE
    assert not sandbox.guest.passes
    assert await parts(sandbox, "file") != ["FilePart"]


async def test_a_descriptor_that_is_lost_from_the_guest_is_made_up_for(
    sandbox: Sandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "file").write_bytes(LARGE)
    monkeypatch.setattr(LaneStream, "_keep_passed", lambda *_: None)
    assert await sandbox.read("file") == LARGE
    assert not sandbox.guest.passes


async def test_a_call_that_is_known_to_the_guest_is_not_written_again(
    sandbox: Sandbox, workspace: Path
) -> None:
    call_id = new_call_id()
    await sandbox.write("file", LARGE, call_id=call_id)
    (workspace / "file").unlink()
    with pytest.raises(DeepdError, match="seen"):
        await sandbox.write("file", LARGE, call_id=call_id)
    assert not (workspace / "file").exists()


# A guest that lies.

Say = Callable[[socket.socket, Frame], None]


async def lying(folder: Path, say: Say) -> Guest:
    """Connect to a guest of the test's own that answers what comes over its lane."""
    went: list[socket.socket] = []

    def answer(peer: Peer, frame: Frame) -> None:
        if frame.type == FrameType.LANE:
            went.append(go(folder, frame))
            peer.stream.feed(laned(0))

    peer = Peer(answer)
    peer.stream.lane = Lane(folder, os.getpid())
    guest = await asyncio.wait_for(Guest.connect(peer.stream), 20)
    loop = asyncio.get_running_loop()
    (lane,) = went
    decoder = Decoder()
    decoder.hunting = False

    def hear() -> None:
        data = b""
        with suppress(ConnectionResetError):
            data = lane.recv(1 << 16)
        if not data:
            loop.remove_reader(lane)
            lane.close()
            return
        for frame in decoder.feed(data):
            say(lane, frame)

    loop.add_reader(lane, hear)
    return guest


def opened(frame: Frame) -> bytes:
    return encode(FrameType.OPENED, frame.channel, fields.u32(0))


def ended(frame: Frame, size: int = 0) -> bytes:
    end = fields.field(1, fields.u32(7)) + fields.field(7, fields.u64(size))
    return encode(FrameType.EXIT, frame.channel, end)


async def read_lie(folder: Path, say: Say) -> BaseException:
    """Read a file of a guest that lies, and return what comes of it."""
    guest = await lying(folder, say)
    before = open_files()
    with pytest.raises(DeepdError) as caught:
        await asyncio.wait_for(Sandbox(guest).read("file"), 20)
    assert open_files() <= before
    await guest.aclose()
    return caught.value


async def test_a_file_that_nobody_asked_for_ends_the_stream(tmp_path: Path) -> None:
    def say(lane: socket.socket, frame: Frame) -> None:
        if frame.type == FrameType.OPEN:
            file = encode(FrameType.FILE, frame.channel)
            socket.send_fds(lane, [opened(frame) + file], [0])

    guest = await lying(tmp_path, say)
    call = await guest.open(None, FileOp(Kind.READ, "file"))
    with pytest.raises(CallLostError, match="not asked for"):
        await asyncio.wait_for(call.wait(), 20)
    await guest.aclose()


async def test_two_files_for_one_read_end_the_stream(tmp_path: Path) -> None:
    def say(lane: socket.socket, frame: Frame) -> None:
        if frame.type == FrameType.OPEN:
            file = encode(FrameType.FILE, frame.channel)
            socket.send_fds(lane, [opened(frame) + file], [0])
            socket.send_fds(lane, [file], [0])

    assert isinstance(await read_lie(tmp_path, say), CallLostError)


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a device", "a folder"])
async def test_what_is_passed_must_be_a_file(tmp_path: Path, kind: str) -> None:
    record = b"\x2b\0\0\0\x01" + bytes(36) + b"\x04\0file"

    def say(lane: socket.socket, frame: Frame) -> None:
        if frame.type != FrameType.OPEN:
            return
        reads, writes = os.pipe()
        kinds: dict[str, Callable[[], int]] = {
            "a pipe": lambda: reads,
            "a socket": lane.fileno,
            "a device": lambda: os.open("/dev/zero", os.O_RDONLY),
            "a folder": lambda: os.open("/", os.O_RDONLY),
        }
        passed = kinds[kind]()
        data = encode(FrameType.DATA, frame.channel, fields.u64(0) + b"\x01" + record)
        lane.sendall(opened(frame) + data)
        socket.send_fds(lane, [encode(FrameType.FILE, frame.channel)], [passed])
        lane.sendall(ended(frame, len(record)))
        for descriptor in {reads, writes, passed} - {lane.fileno()}:
            os.close(descriptor)

    error = await read_lie(tmp_path, say)
    assert isinstance(error, ProtocolError)
    assert "no file" in str(error)


async def test_a_guest_that_passes_without_end_loses_its_stream(tmp_path: Path) -> None:
    def say(lane: socket.socket, frame: Frame) -> None:
        if frame.type == FrameType.OPEN:
            pong = encode(FrameType.PONG, 0, bytes(8))
            for _ in range(100):
                try:
                    socket.send_fds(lane, [pong], [0, 1, 2])
                except OSError as error:
                    assert error.errno in (errno.EPIPE, errno.ECONNRESET)  # noqa: PT017
                    return

    assert "descriptors" in str(await read_lie(tmp_path, say))
