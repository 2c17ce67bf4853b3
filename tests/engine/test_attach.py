"""The attached stream against an engine that a test plays: refusals, pressure, ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deepd.engine.attach import BUFFER_LIMIT, AttachedStream, attach
from deepd.engine.endpoint import Endpoint
from deepd.errors import EngineDownError, EngineError, EngineTimeoutError

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ACCEPTED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def frame(data: bytes, stream: int = 1) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


@asynccontextmanager
async def engine(folder: Path, script: Script) -> AsyncIterator[Endpoint]:
    """Play an engine that does as the script says with each connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    path = folder / "engine.sock"
    server = await asyncio.start_unix_server(serve, path)
    async with server:
        yield Endpoint(url=f"unix://{path}", path=str(path))


async def connect(endpoint: Endpoint, within: float = 5) -> AttachedStream:
    return await attach(endpoint, "/attach", "test", within=within)


async def test_what_came_with_the_answer_is_not_lost(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ACCEPTED + frame(b"one") + frame(b"noise", 2) + frame(b"two"))
        await writer.drain()

    async with engine(tmp_path, script) as endpoint:
        stream = await connect(endpoint)
        received = b""
        while piece := await stream.read():
            received += piece
        assert received == b"onetwo"
        assert await stream.read() == b""
        await stream.aclose()


async def test_an_answer_that_comes_byte_by_byte_is_understood(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in ACCEPTED + frame(b"slow"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    async with engine(tmp_path, script) as endpoint:
        stream = await connect(endpoint)
        received = b""
        while piece := await stream.read():
            received += piece
        assert received == b"slow"
        await stream.aclose()


async def test_a_refusal_is_raised_with_what_the_engine_said(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b'{"message":"container is paused, unpause it first"}'
        head = f"HTTP/1.1 409 Conflict\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(body)
        await reader.read()

    async with engine(tmp_path, script) as endpoint:
        with pytest.raises(EngineError, match="paused, unpause it first"):
            await connect(endpoint)


async def test_an_engine_that_hangs_up_or_says_nothing_is_told_apart(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        return

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    (tmp_path / "a").mkdir()
    async with engine(tmp_path / "a", hang_up) as endpoint:
        with pytest.raises(EngineDownError):
            await connect(endpoint)
    async with engine(tmp_path, say_nothing) as endpoint:
        with pytest.raises(EngineTimeoutError):
            await connect(endpoint, within=0.1)


async def test_a_reader_that_waits_makes_the_engine_wait(tmp_path: Path) -> None:
    sent = 0
    total = 8 * BUFFER_LIMIT

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(ACCEPTED)
        while sent < total:
            writer.write(frame(b"x" * 65536))
            sent += 65536
            await writer.drain()

    async with engine(tmp_path, script) as endpoint:
        stream = await connect(endpoint)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 4 * BUFFER_LIMIT
        received = 0
        while piece := await stream.read():
            received += len(piece)
        assert received == total
        await stream.aclose()


async def test_drain_waits_for_an_engine_that_does_not_read(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ACCEPTED)
        await writer.drain()
        await go_on.wait()
        while await reader.read(1 << 16):
            pass

    async with engine(tmp_path, script) as endpoint:
        stream = await connect(endpoint)
        stream.write(b"x" * 4 * BUFFER_LIMIT)
        draining = asyncio.create_task(stream.drain())
        await asyncio.wait([draining], timeout=0.1)
        assert not draining.done()
        go_on.set()
        await asyncio.wait_for(draining, 30)
        await stream.aclose()


async def test_closing_does_not_wait_for_an_engine_that_does_not_read(tmp_path: Path) -> None:
    never = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ACCEPTED)
        await writer.drain()
        await never.wait()

    async with engine(tmp_path, script) as endpoint:
        stream = await connect(endpoint)
        stream.write(b"x" * 4 * BUFFER_LIMIT)
        await asyncio.wait_for(stream.aclose(), 30)
        assert await stream.read() == b""
        never.set()


async def test_a_stream_of_nonsense_ends(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ACCEPTED + b"Bad luck, this is text\n")
        await reader.read()

    async with engine(tmp_path, script) as endpoint:
        stream = await connect(endpoint)
        assert await asyncio.wait_for(stream.read(), 30) == b""
        with pytest.raises(EngineError):
            await stream.drain()


async def test_what_the_guest_complains_about_is_logged_up_to_a_limit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ACCEPTED + frame(b"guest: \x1b[31mred\n", 2))
        for _ in range(100):
            writer.write(frame(b"x" * 1000, 2))
        await writer.drain()

    async with engine(tmp_path, script) as endpoint:
        stream = await connect(endpoint)
        assert await stream.read() == b""
        await stream.aclose()
    assert "\\x1b[31mred" in caplog.text
    assert len(caplog.text) < 20_000
