"""Connections to an engine that are used again, and those that must not be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deepd.engine.endpoint import Endpoint
from deepd.engine.http import request
from deepd.engine.kept import MOST, Kept
from deepd.errors import EngineDownError
from tests.eventually import eventually


class Server:
    """An engine that answers each request with its number, as `answer` renders it."""

    def __init__(self, path: Path) -> None:
        self.endpoint = Endpoint(url=f"unix://{path}", path=str(path))
        self.connections: list[asyncio.StreamWriter] = []
        self.requests = 0
        self.answer: Callable[[str], str] = framed

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                writer.write(self.answer(str(self.requests)).encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def ask(self, kept: Kept) -> str:
        reply = await request(self.endpoint, "GET", "/x", within=10, kept=kept)
        return reply.body.decode()


def framed(body: str) -> str:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def chunked(body: str) -> str:
    head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return f"{head}{len(body):x}\r\n{body}\r\n0\r\n\r\n"


def last(body: str) -> str:
    return framed(body).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[Server]:
    server = Server(folder / "s.sock")
    listening = await asyncio.start_unix_server(server.serve, server.endpoint.path)
    yield server
    listening.close()
    for connection in server.connections:
        connection.transport.abort()


@asynccontextmanager
async def some_kept() -> AsyncIterator[Kept]:
    kept = Kept()
    try:
        yield kept
    finally:
        await kept.aclose()


@pytest.mark.parametrize("answer", [framed, chunked])
async def test_requests_in_a_row_share_a_connection(
    server: Server, answer: Callable[[str], str]
) -> None:
    server.answer = answer
    async with some_kept() as kept:
        assert [await server.ask(kept) for _ in range(3)] == ["1", "2", "3"]
    assert len(server.connections) == 1


async def test_requests_at_once_have_connections_of_their_own_and_few_are_kept(
    server: Server,
) -> None:
    async with some_kept() as kept:
        await asyncio.gather(*(server.ask(kept) for _ in range(MOST * 2)))
        assert len(server.connections) == MOST * 2
        closed = [one.transport.is_closing for one in server.connections]
        await eventually(lambda: sum(is_closing() for is_closing in closed) == MOST)


async def test_an_answer_that_came_twice_is_not_that_of_the_next_request(server: Server) -> None:
    server.answer = lambda body: framed(body) * 2
    async with some_kept() as kept:
        assert [await server.ask(kept) for _ in range(3)] == ["1", "2", "3"]
    assert len(server.connections) == 3


async def test_a_connection_that_the_engine_closed_is_not_used(server: Server) -> None:
    async with some_kept() as kept:
        await server.ask(kept)
        server.connections[0].close()
        await server.connections[0].wait_closed()
        assert await server.ask(kept) == "2"


@pytest.mark.parametrize("answer", [last, lambda body: f"HTTP/1.1 200 OK\r\n\r\n{body}"])
async def test_a_connection_that_is_to_be_closed_is_not_kept(
    server: Server, answer: Callable[[str], str]
) -> None:
    def answer_and_close(body: str) -> str:
        asyncio.get_running_loop().call_later(0.05, server.connections[-1].close)
        return answer(body)

    server.answer = answer_and_close
    async with some_kept() as kept:
        assert [await server.ask(kept) for _ in range(2)] == ["1", "2"]
    assert len(server.connections) == 2


async def test_a_request_is_not_repeated_when_its_connection_breaks(server: Server) -> None:
    async with some_kept() as kept:
        await server.ask(kept)
        server.answer = lambda _: server.connections[0].transport.abort() or ""  # type: ignore[func-returns-value]
        with pytest.raises(EngineDownError):
            await server.ask(kept)
    assert server.requests == 2


async def test_nothing_is_kept_any_more_once_all_were_closed(server: Server) -> None:
    async with some_kept() as kept:
        await server.ask(kept)
    assert [await server.ask(kept) for _ in range(2)] == ["2", "3"]
    await eventually(lambda: all(one.transport.is_closing() for one in server.connections))
    assert len(server.connections) == 3


async def test_a_request_that_is_cancelled_at_any_point_leaves_no_connection(
    server: Server,
) -> None:
    async with some_kept() as kept:
        for turns in range(12):
            await server.ask(kept)
            asking = asyncio.create_task(server.ask(kept))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait({asking})
    await eventually(lambda: all(one.transport.is_closing() for one in server.connections))
