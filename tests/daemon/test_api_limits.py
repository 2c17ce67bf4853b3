"""Slow, huge and many clients, on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import socket
import time
from pathlib import Path

import pytest

from deepd.errors import DaemonDownError, TooLargeError
from deepd.server.limits import Limits
from tests.daemon.api import Api, served
from tests.eventually import eventually

HEALTH = b"GET /v1/health HTTP/1.1\r\nHost: d\r\n\r\n"


def problem(raw: bytes) -> tuple[int, dict[str, object]]:
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("sent", [b"", b"GET /v1/health HT", HEALTH[:-2], b"\r\n"])
async def test_a_header_that_does_not_come_in_time_is_not_waited_for(
    tmp_path: Path, sent: bytes
) -> None:
    async with served(tmp_path, Limits(head_seconds=0.1)) as api:
        status, body = problem(await api.raw(sent))
        assert (status, body["type"]) == (408, "bad-request")


async def test_a_trickled_header_ends_on_time_whatever_comes(tmp_path: Path) -> None:
    def trickle(path: Path) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /v1/health HTTP/1.1\r\n")
            while not select.select([client], [], [], 0.01)[0]:
                with contextlib.suppress(BrokenPipeError):
                    client.sendall(b"X: y\r\n")
            return client.recv(65536)

    async with served(tmp_path, Limits(head_seconds=0.2)) as api:
        assert problem(await asyncio.to_thread(trickle, api.operator_socket))[0] == 408


async def test_a_second_request_on_a_connection_has_its_own_time(tmp_path: Path) -> None:
    async with served(tmp_path, Limits(head_seconds=0.3)) as api:
        reader, writer = await asyncio.open_unix_connection(api.operator_socket)
        writer.write(HEALTH)
        assert (await reader.read(12)) == b"HTTP/1.1 200"
        writer.write(HEALTH[:10])
        rest = await reader.read()
        writer.close()
        assert b"HTTP/1.1 408" in rest


async def test_a_header_that_does_not_end_is_cut_off(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        status, body = problem(await api.raw(b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000))
        assert (status, body["type"]) == (400, "bad-request")


async def test_a_large_body_is_not_taken_for_a_header(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        for _ in range(3):
            assert (await api.operator.write("main", "a", b"x" * 900_000))["size"] == 900_000


async def test_what_is_no_http_gets_a_problem_body(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        status, body = problem(await api.raw(b"\x16\x03\x01 hello\r\n\r\n"))
        assert (status, body["type"]) == (400, "bad-request")


async def test_a_huge_json_body_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with served(tmp_path, Limits(json=1000)) as api:
        with pytest.raises(TooLargeError):
            await api.operator.exec("main", "x" * 1001)
        with pytest.raises(TooLargeError):
            await asyncio.to_thread(
                api.sync.request,
                "POST",
                "/v1/sessions/main/exec",
                body=(b" " * 100 for _ in range(100)),
            )
        assert not api.world.calls.calls


async def test_a_body_that_stops_coming_is_not_waited_for(tmp_path: Path) -> None:
    head = b"%b /v1/sessions/main/%b HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"
    async with served(tmp_path, Limits(body_seconds=0.1)) as api:
        for method, what in ((b"POST", b"exec"), (b"PUT", b"files?path=a")):
            status, body = problem(await api.raw(head % (method, what)))
            assert (status, body["type"]) == (408, "bad-request")
        assert not api.world.calls.calls


async def test_one_connection_too_many_is_told_so_and_the_others_go_on(tmp_path: Path) -> None:
    async with served(tmp_path, Limits(connections=3)) as api:
        idle = [await asyncio.open_unix_connection(api.operator_socket) for _ in range(3)]
        status, body = problem(await api.raw(b""))
        assert (status, body["type"]) == (429, "limit")
        for reader, writer in idle:
            writer.write(HEALTH)
            assert await reader.read(12) == b"HTTP/1.1 200"
            writer.close()
        await eventually(lambda: _answers(api))


def _answers(api: Api) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(api.operator_socket))
    return True


async def test_pipelined_requests_are_answered_in_order_and_bounded(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        last = HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert (await api.raw(HEALTH * 5 + last)).count(b"HTTP/1.1 200") == 6
        assert b"HTTP/1.1 429" in await api.raw(HEALTH * 500)


async def test_a_follower_that_never_reads_delays_nobody_and_is_cut_off(tmp_path: Path) -> None:
    async with served(tmp_path, Limits(stalled=0.3)) as api:
        silent = socket.socket(socket.AF_UNIX)
        silent.connect(str(api.operator_socket))
        silent.sendall(b"GET /v1/events?follow=1&after=0 HTTP/1.1\r\n\r\n")
        await eventually(lambda: api.world.events.followers)
        for _ in range(20_000):
            api.world.events.publish()
        assert (await api.operator.health())["status"] == "ok"
        await eventually(lambda: not api.world.events.followers)
        silent.close()


@pytest.mark.parametrize("name", ["x" * 65, "a\x7fb", "\x01"])
async def test_a_clients_name_is_short_and_printable(tmp_path: Path, name: str) -> None:
    async with served(tmp_path) as api:
        body = b'{"command": "echo"}'
        raw = await api.raw(
            b"POST /v1/sessions/main/exec HTTP/1.1\r\nConnection: close\r\n"
            b"X-Deepd-Client: " + name.encode() + b"\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert problem(raw)[0] == 400
        assert not api.world.calls.calls


async def test_stopping_tells_who_waits_and_is_quick(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        asked = asyncio.create_task(api.operator.exec("main", "hold it"))
        await eventually(lambda: api.world.calls.calls)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    with pytest.raises(DaemonDownError, match="stopping"):
        await asked
