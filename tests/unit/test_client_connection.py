"""Connections of both clients against a scripted server: what is repeated, and what never is."""

from __future__ import annotations

import asyncio
import inspect
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepd.client.async_ import AsyncClient
from deepd.client.sync import Client
from deepd.errors import CallTimeoutError, DaemonDownError
from tests.eventually import eventually_sync

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"ok":true}'


class Scripted:
    """A server that answers each connection by a list of replies, and closes after the last."""

    def __init__(self, path: Path, script: list[list[bytes | None]]) -> None:
        self.seen: list[bytes] = []
        self.closed = 0
        self._script = script
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for replies in self._script:
            connection, _ = self._socket.accept()
            with connection:
                for reply in replies:
                    if not (request := connection.recv(65536)):
                        break
                    self.seen.append(request)
                    if reply is not None:
                        connection.sendall(reply)
            self.closed += 1

    def close(self) -> None:
        self._thread.join(timeout=10)
        self._socket.close()
        assert not self._thread.is_alive()


@contextmanager
def scripted(tmp_path: Path, *script: list[bytes | None]) -> Iterator[tuple[Scripted, Client]]:
    server = Scripted(tmp_path / "s.sock", list(script))
    client = Client(tmp_path / "s.sock", timeout=5)
    try:
        yield server, client
    finally:
        client.close()
        server.close()


def test_a_connection_is_used_again(tmp_path: Path) -> None:
    with scripted(tmp_path, [OK, OK, OK]) as (server, client):
        for _ in range(3):
            assert client.health() == {"ok": True}
        assert len(server.seen) == 3


def test_a_connection_that_was_closed_meanwhile_is_replaced(tmp_path: Path) -> None:
    with scripted(tmp_path, [OK], [OK]) as (server, client):
        client.health()
        eventually_sync(lambda: server.closed == 1)
        assert client.request("POST", "/v1/reload").json() == {"ok": True}
        assert len(server.seen) == 2


def test_a_get_on_a_kept_connection_that_dies_unanswered_is_repeated(tmp_path: Path) -> None:
    with scripted(tmp_path, [OK, None], [OK]) as (server, client):
        client.health()
        assert client.health() == {"ok": True}
        assert len(server.seen) == 3


def test_what_has_no_key_is_never_sent_twice(tmp_path: Path) -> None:
    with scripted(tmp_path, [OK, None]) as (server, client):
        client.health()
        with pytest.raises(DaemonDownError, match="may have happened"):
            client.request("POST", "/v1/reload")
        assert len(server.seen) == 2


def test_an_exec_that_is_repeated_is_the_same_call_by_its_key(tmp_path: Path) -> None:
    with scripted(tmp_path, [OK, None], [OK]) as (server, client):
        client.health()
        client.submit("main", "execute", {"command": "x"})
        first, second = server.seen[1:]
        assert first == second
        assert b"Idempotency-Key: " in first


def test_a_new_connection_that_dies_is_not_tried_again(tmp_path: Path) -> None:
    with scripted(tmp_path, [None]) as (server, client):
        with pytest.raises(DaemonDownError, match="middle"):
            client.health()
        assert len(server.seen) == 1


def test_an_answer_that_began_is_never_asked_for_again(tmp_path: Path) -> None:
    with scripted(tmp_path, [OK, OK[:20]]) as (server, client):
        client.health()
        with pytest.raises(DaemonDownError, match="middle"):
            client.health()
        assert len(server.seen) == 2


def test_a_stream_that_is_left_gives_its_connection_up(tmp_path: Path) -> None:
    endless = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{"a":1}\n\r\n'
    with scripted(tmp_path, [endless, None], [OK]) as (_, client):
        lines = client.events()
        assert next(lines) == {"a": 1}
        lines.close()  # type: ignore[attr-defined]
        assert client.health() == {"ok": True}


def test_a_silent_daemon_is_given_up_on(tmp_path: Path) -> None:
    with scripted(tmp_path, [None, None]) as (_, client), pytest.raises(TimeoutError) as caught:
        client.request("GET", "/", timeout=0.1)
    assert isinstance(caught.value, CallTimeoutError)
    client.close()


def test_nobody_there_says_what_to_do(tmp_path: Path) -> None:
    for path in (tmp_path / "none.sock", tmp_path / "no" / "folder.sock"):
        with pytest.raises(DaemonDownError, match=f"no daemon answers at {path}") as caught:
            Client(path).health()
        assert caught.value.next_step == "deepd start -c PROFILE"


async def test_the_asynchronous_client_says_the_same(tmp_path: Path) -> None:
    with pytest.raises(DaemonDownError, match="no daemon answers"):
        await AsyncClient(tmp_path / "none.sock").health()


async def test_the_asynchronous_client_repeats_by_the_same_rules(tmp_path: Path) -> None:
    server = Scripted(tmp_path / "s.sock", [[OK, None], [OK, None]])
    client = AsyncClient(tmp_path / "s.sock", timeout=5)
    await client.health()
    assert await client.health() == {"ok": True}
    with pytest.raises(DaemonDownError, match="may have happened"):
        await client.request("POST", "/v1/reload")
    assert len(server.seen) == 4
    client.close()
    await asyncio.to_thread(server.close)


def test_both_clients_have_the_same_methods() -> None:
    def methods(cls: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in inspect.getmembers(cls, inspect.isfunction)
            if not name.startswith("_")
        }

    assert methods(Client) == methods(AsyncClient)


def test_the_synchronous_client_loads_nothing_heavy() -> None:
    script = "import sys; import deepd.client.sync; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    heavy = {
        "asyncio",
        "pydantic",
        "http",
        "email",
        "ssl",
        "dataclasses",
        "inspect",
        "urllib",
        "websockets",
        "starlette",
        "uvicorn",
        "logging",
        "secrets",
        "tempfile",
    }
    assert not heavy & set(result.stdout.split())
