"""Files that are too large for one frame, on every engine: whole, in parts, and left half-way."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepd.client.async_ import AsyncClient
from deepd.client.sync import Client
from tests.e2e.conftest import User, somebody
from tests.e2e.engines import ENGINES, choose_engine
from tests.eventually import eventually_sync

LARGE = os.urandom(20_000_003)


@pytest.fixture(scope="module", params=ENGINES)
def desk(request: pytest.FixtureRequest) -> Iterator[User]:
    """Somebody whose daemon runs on that engine."""
    with somebody() as user:
        user.profile("work", choose_engine(request, request.param, user))
        user.run("start", "-c", "work.toml", code=None)
        eventually_sync(lambda: user.run("status", code=None).returncode == 0, within=90)
        user.wait_for_state("ready", within=90)
        with Client(user.socket) as client:
            client.write("main", "large", LARGE)
        yield user


@pytest.fixture
def client(desk: User) -> Iterator[Client]:
    with Client(desk.socket) as connected:
        yield connected


def test_both_clients_the_command_and_curl_get_the_same_bytes(
    desk: User, client: Client, tmp_path: Path
) -> None:
    async def read() -> bytes:
        async with AsyncClient(desk.socket) as other:
            await other.write("main", "large", LARGE)
            return await other.read("main", "large")

    assert client.read("main", "large") == LARGE
    with Client(desk.socket, timeout=60) as impatient:
        assert impatient.read("main", "large") == LARGE
    assert asyncio.run(read()) == LARGE
    desk.run("cp", "main:large", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == LARGE
    assert desk.file("large") == LARGE


@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, 5_000_000), (1, None), (19_000_000, 500_000), (19_000_000, 2_000_000), (20_000_003, 9)],
)
def test_a_part_is_that_part(client: Client, offset: int, size: int | None) -> None:
    end = None if size is None else offset + size
    assert client.read("main", "large", offset=offset, size=size) == LARGE[offset:end]


def test_what_a_call_has_read_is_kept_with_it(client: Client) -> None:
    client.read("main", "large")
    call = client.calls("main", limit=1)[0]
    assert (call["tool"], call["result"]) == ("read_file", {"size": len(LARGE)})
    kept = [line["data"] for line in client.output(call["id"]) if "data" in line]
    assert b"".join(kept) == LARGE
    assert max(map(len, kept)) <= 1 << 20


def test_a_reader_that_leaves_half_way_leaves_nothing_open(desk: User, client: Client) -> None:
    pid = desk.daemon_pid()

    def open_files() -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    before = open_files()
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as leaving:
            leaving.connect(str(desk.socket))
            leaving.sendall(b"GET /v1/sessions/main/files?path=large HTTP/1.1\r\nHost: d\r\n\r\n")
            assert leaving.recv(100_000)
    eventually_sync(lambda: open_files() <= before, within=30)
    assert client.read("main", "large") == LARGE
