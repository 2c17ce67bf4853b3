"""Whoever supervises the daemon hears that it is ready, that it lives, and that it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from deepd.daemon.supervisor import Supervisor
from deepd.errors import SettingsError
from tests.eventually import eventually, eventually_sync
from tests.faults.deeds import HELLO
from tests.faults.nursery import Nursery
from tests.faults.place import new_place

EVERY = 0.1


class Listener:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._heard: list[str] = []

    def heard(self) -> list[str]:
        """Return all messages so far."""
        with suppress(BlockingIOError):
            while True:
                self._heard.append(self._socket.recv(4096).decode())
        return self._heard

    def count(self, text: str) -> int:
        """Return how many messages have a line."""
        return sum(text in message.split("\n") for message in self.heard())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    with TemporaryDirectory(prefix="deepd-notify-") as folder:
        name = f"{folder}/notify" if request.param == "path" else f"@{folder}"
        made = Listener(name)
        yield made
        made.close()


def watched(listener: Listener) -> dict[str, str]:
    """Return the environment that systemd would give."""
    return {
        "NOTIFY_SOCKET": listener.address,
        "WATCHDOG_USEC": str(int(EVERY * 2_000_000)),
        "WATCHDOG_PID": str(os.getpid()),
    }


def test_a_daemon_tells_that_it_serves_lives_reloads_and_ends(
    nursery: Nursery, listener: Listener
) -> None:
    with new_place(nursery) as place:
        place.profile("hello", HELLO)
        env = watched(listener)
        del env["WATCHDOG_PID"]  # the process that will be the daemon has no number yet
        place.env |= env
        life = place.start()
        eventually_sync(lambda: listener.count("READY=1") == 1)
        assert f"MAINPID={life.pid}" in listener.heard()[0]
        eventually_sync(lambda: listener.count("WATCHDOG=1") >= 3)
        said = place.client.exec("main", "env").stdout.decode()
        assert "PATH=" in said
        assert "NOTIFY_SOCKET" not in said
        os.kill(life.pid, signal.SIGHUP)
        eventually_sync(lambda: listener.count("RELOADING=1") == 1)
        eventually_sync(lambda: listener.count("READY=1") == 2)
        life.end(signal.SIGTERM)
        assert listener.count("STOPPING=1") == 1


def test_a_daemon_whose_store_is_gone_pings_no_more(nursery: Nursery) -> None:
    with TemporaryDirectory(prefix="deepd-notify-") as folder, new_place(nursery) as place:
        listener = Listener(f"{folder}/notify")
        place.profile("hello", HELLO)
        place.env |= {k: v for k, v in watched(listener).items() if k != "WATCHDOG_PID"}
        life = place.start()
        eventually_sync(lambda: listener.count("WATCHDOG=1") >= 2)
        for file in place.state.glob("deepd.db*"):
            file.rename(Path(folder) / file.name)
        eventually_sync(lambda: "was removed under the daemon" in place.log())
        before = listener.count("WATCHDOG=1")
        eventually_sync(lambda: place.log().count("was removed under the daemon") >= 4)
        assert listener.count("WATCHDOG=1") == before
        life.end()
        listener.close()


async def test_a_store_that_does_not_answer_is_not_pinged_for(listener: Listener) -> None:
    fails = [False]

    def check() -> None:
        if fails[0]:
            raise SettingsError("the store does not answer")

    task = asyncio.create_task(Supervisor(watched(listener)).ping(check))
    await eventually(lambda: listener.count("WATCHDOG=1") >= 2)
    fails[0] = True
    await asyncio.sleep(2 * EVERY)  # a ping may be under way
    before = listener.count("WATCHDOG=1")
    await asyncio.sleep(4 * EVERY)
    assert listener.count("WATCHDOG=1") == before
    task.cancel()


async def test_a_watchdog_of_another_process_and_nonsense_are_not_ours(listener: Listener) -> None:
    for more in ({"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}):
        supervisor = Supervisor(watched(listener) | more)
        assert supervisor.every is None
        await supervisor.ping(lambda: pytest.fail("there is no watchdog"))
    assert listener.heard() == []


def test_nobody_who_listens_is_no_trouble() -> None:
    Supervisor({}).ready("serving")
    Supervisor({"NOTIFY_SOCKET": "/nowhere/at/all"}).ready("serving")
    Supervisor({"NOTIFY_SOCKET": "x" * 500}).stopping()


def test_the_environment_is_left_without_what_was_for_us() -> None:
    environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2", "HOME": "/root"}
    Supervisor(environ)
    assert environ == {"HOME": "/root"}
