"""The stream over a child's pipes: what it sends, loses, holds back, and how it ends."""

from __future__ import annotations

import asyncio
import sys

import pytest

from deepd.engine.process import ProcessStream, spawn_guest
from deepd.errors import EngineError, EngineRefusedError
from tests.eventually import eventually


async def read_exactly(stream: ProcessStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await asyncio.wait_for(stream.read(), 30)
        assert piece, "the stream ended early"
        data += piece
    return data


async def test_bytes_go_both_ways_until_the_child_is_stopped() -> None:
    stream = await spawn_guest(["cat"])
    data = bytes(range(256)) * 4096
    reading = asyncio.create_task(read_exactly(stream, len(data)))
    stream.write(data)
    await stream.drain()
    assert await reading == data
    assert stream.process.returncode is None
    await stream.process.stop()
    assert stream.process.returncode == -15
    assert await stream.read() == b""
    assert await stream.read() == b""
    stream.write(b"nobody is there")
    with pytest.raises(EngineError):
        await stream.drain()


async def test_a_new_attachment_ends_the_former_and_misses_what_came_between() -> None:
    first = await spawn_guest(["cat"])
    first.write(b"lost")
    await first.aclose()
    assert await first.read() in (b"", b"lost")
    second = first.process.open()
    third = first.process.open()
    assert await second.read() == b""
    third.write(b"heard\n")
    assert (await read_exactly(third, 6)).endswith(b"heard\n")
    await third.process.stop()


async def test_a_reader_that_waits_too_long_holds_the_child_back() -> None:
    program = "import sys\nwhile True: sys.stdout.buffer.write(bytes(65536))"
    stream = await spawn_guest([sys.executable, "-c", program])
    await eventually(lambda: stream._size >= 1 << 20)
    assert stream._size < 2 << 20
    assert not stream.process._reads
    assert len(await read_exactly(stream, 8 << 20)) >= 8 << 20
    await stream.process.stop()


async def test_a_writer_waits_for_a_child_that_reads_nothing() -> None:
    stream = await spawn_guest(["sleep", "60"])
    stream.write(bytes(4 << 20))
    draining = asyncio.create_task(stream.drain())
    done, _ = await asyncio.wait((draining,), timeout=0.1)
    assert not done
    await stream.process.stop()
    await asyncio.wait((draining,), timeout=10)
    assert draining.done()
    draining.exception()


async def test_a_child_that_ends_by_itself_ends_the_stream() -> None:
    stream = await spawn_guest(["sh", "-c", "echo bye; exit 3"])
    assert await read_exactly(stream, 4) == b"bye\n"
    assert await asyncio.wait_for(stream.read(), 30) == b""
    assert await asyncio.wait_for(stream.process.wait(), 30) == 3
    assert await stream.process.open().read() == b""
    await stream.process.stop()


async def test_a_child_that_ignores_term_is_killed() -> None:
    stream = await spawn_guest(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
    await read_exactly(stream, 6)
    await stream.process.stop(grace=0.1)
    assert stream.process.returncode == -9


async def test_a_program_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(EngineRefusedError, match="no-such-guest"):
        await spawn_guest(["/no-such-guest"])
