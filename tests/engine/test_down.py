"""An engine that is not there, not allowed, not an engine, or silent."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from deepd.engine.base import Engine
from deepd.engine.docker import DockerEngine
from deepd.engine.thread import Door
from deepd.errors import EngineDownError, EngineError, EngineTimeoutError, SettingsError
from deepd.model.ids import ContainerId
from deepd.model.profile import Limits
from tests.engine.conftest import SPEC
from tests.eventually import eventually

ID = ContainerId("f" * 64)


async def watch_once(engine: Engine) -> None:
    async for _ in engine.watch():
        return


REQUESTS: dict[str, Callable[[Engine], Awaitable[object]]] = {
    "info": lambda engine: engine.info(),
    "observe": lambda engine: engine.observe(),
    "ensure_image": lambda engine: engine.ensure_image("x", lambda text, done: None),
    "create": lambda engine: engine.create(SPEC),
    "start": lambda engine: engine.start(ID),
    "stop": lambda engine: engine.stop(ID),
    "pause": lambda engine: engine.pause(ID),
    "remove": lambda engine: engine.remove(ID),
    "claim": lambda engine: engine.claim(ID, "x"),
    "update": lambda engine: engine.update(ID, Limits()),
    "stats": lambda engine: engine.stats(ID),
    "open": lambda engine: engine.open(ID),
    "watch": watch_once,
}


@pytest.fixture
def silent_socket(tmp_path: Path) -> Iterator[str]:
    """Return an endpoint that takes connections and never answers."""
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        yield f"unix://{path}"


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
async def test_a_missing_socket_is_named_with_what_to_do(
    tmp_path: Path, request_: Callable[[Engine], Awaitable[object]]
) -> None:
    engine = DockerEngine("test", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(EngineDownError, match=f"{tmp_path}/docker.sock") as caught:
        await request_(engine)
    assert "DOCKER_HOST" in caught.value.next_step
    await engine.aclose()


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
async def test_a_silent_engine_is_left_at_the_deadline(
    silent_socket: str, request_: Callable[[Engine], Awaitable[object]]
) -> None:
    engine = DockerEngine("test", silent_socket, timeout=0.2)
    began = time.monotonic()
    with pytest.raises(EngineTimeoutError):
        await request_(engine)
    assert time.monotonic() - began < 5
    await engine.aclose()


async def test_a_refused_connection_says_so(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    with pytest.raises(EngineDownError, match="refused"):
        await DockerEngine("test", f"unix://{path}").info()


async def test_a_refused_tcp_connection_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(EngineDownError, match=f"127.0.0.1:{port}"):
            await DockerEngine("test", f"tcp://127.0.0.1:{port}").info()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every socket")
async def test_a_socket_that_this_user_may_not_open_says_what_to_do(silent_socket: str) -> None:
    Path(silent_socket.removeprefix("unix://")).chmod(0)
    with pytest.raises(EngineDownError, match="may not open") as caught:
        await DockerEngine("test", silent_socket).info()
    assert "usermod" in caught.value.next_step


async def test_what_does_not_speak_http_is_not_taken_for_an_engine(tmp_path: Path) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(babble, tmp_path / "odd.sock")
    async with server:
        with pytest.raises(EngineError, match="does not speak HTTP"):
            await DockerEngine("test", f"unix://{tmp_path}/odd.sock").info()


async def test_an_engine_that_hangs_up_is_down(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(hang_up, tmp_path / "rude.sock")
    async with server:
        with pytest.raises(EngineDownError):
            await DockerEngine("test", f"unix://{tmp_path}/rude.sock").info()


async def say_version(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    body = b'{"ApiVersion": "1.41", "Version": "1", "Arch": "amd64"}'
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    writer.close()


async def test_those_who_ask_at_once_who_the_engine_is_share_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    asked, answering = [], asyncio.Event()

    async def say_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        await answering.wait()
        await say_version(reader, writer)

    engine = DockerEngine("test", f"unix://{path}")
    async with await asyncio.start_unix_server(say_later, path):
        first, *others = [asyncio.create_task(engine._client.server()) for _ in range(3)]
        await eventually(lambda: asked)
        first.cancel()  # whoever asked first has no claim to it
        answering.set()
        assert {server.api_version for server in await asyncio.gather(*others)} == {"1.41"}
    assert len(asked) == 1
    assert first.cancelled()
    await engine.aclose()


async def test_an_engine_that_goes_down_between_two_requests_is_down_and_nothing_leaks(
    tmp_path: Path,
) -> None:
    path = tmp_path / "docker.sock"
    engine = DockerEngine("test", f"unix://{path}")
    async with await asyncio.start_unix_server(say_version, path):
        assert (await engine._client.server()).api_version == "1.41"
    with pytest.raises(EngineDownError):
        await engine.observe()
    await engine.aclose()
    gc.collect()  # a socket that was left open is a warning here, and warnings are errors


def test_an_address_that_cannot_be_used_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="not an address"):
        DockerEngine("test", "ftp://host")


def test_a_hung_call_does_not_keep_the_process_from_ending(silent_socket: str) -> None:
    program = (
        "import asyncio, time\n"
        "from deepd.engine.thread import Door\n"
        "from deepd.errors import EngineTimeoutError\n"
        "async def main():\n"
        "    try:\n"
        "        await Door(at_once=1).call(lambda: time.sleep(60), within=0.1, doing='hang')\n"
        "    except EngineTimeoutError:\n"
        "        print('left')\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "left\n"


async def test_a_hung_engine_does_not_pile_up_threads() -> None:
    door = Door(at_once=2)
    running: list[int] = []

    def hang() -> None:
        running.append(1)
        time.sleep(1)

    calls = (door.call(hang, within=0.1, doing="hang") for _ in range(10))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, EngineTimeoutError) for result in results)
    assert len(running) == 2


async def test_a_call_that_was_left_behind_can_be_waited_for_at_the_end() -> None:
    door = Door(at_once=2)
    let_go = threading.Event()
    call = asyncio.create_task(door.call(let_go.wait, within=10, doing="create"))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    assert not await door.wait_until_idle(0.05)
    let_go.set()
    assert await door.wait_until_idle(10)
