"""The promise under kill -9: what was allowed or approved ran once, what was denied never."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deepd.client.sync import Client
from deepd.errors import DaemonDownError
from tests.e2e.conftest import User, containers
from tests.eventually import eventually_sync
from tests.figures import Figure

pytestmark = pytest.mark.docker

PROFILE = """\
image = "deepd-test/busybox"
idle_timeout = "1h"
[interrupt_on]
execute = "allow"
write_file = "ask"
[approvals]
timeout = "1h"
"""
CLIENTS = 3


@dataclass
class Load:
    """Clients that ask and decide while the daemon dies under them."""

    socket: Path
    seed: int
    stopping: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    """Markers of commands that were allowed."""
    decided: dict[str, str] = field(default_factory=dict)
    """Markers of held writes that a decision was acknowledged for."""

    def client(self, number: int) -> None:
        """Ask for one thing after the other until the end; each is repeated until answered."""
        dice = random.Random(self.seed + number)
        turn = 0
        with closing(Client(self.socket, name=f"load-{number}")) as client:
            while not self.stopping.is_set():
                turn += 1
                marker = f"m{number}.{turn}"
                if dice.random() < 0.5:
                    command = f"echo {marker} >> ran; sleep 0.0{dice.randrange(10)}"
                    self._until_answered(client, marker, "execute", {"command": command})
                    self.asked.append(marker)
                else:
                    self._held(client, dice, marker)

    def _held(self, client: Client, dice: random.Random, marker: str) -> None:
        args = {"path": "ran", "content": f"{marker}\n", "append": True}
        call = self._until_answered(client, marker, "write_file", args)
        approve = dice.random() < 0.5
        while True:
            with contextlib.suppress(DaemonDownError, OSError):
                shown = client.approval(call["id"])
                if shown["state"] != "pending":
                    # The answer to our decision was lost with the daemon: it stands as stored.
                    self.decided[marker] = shown["state"]
                    return
                client.decide(call["id"], approve=approve, fingerprint=shown["fingerprint"])
                self.decided[marker] = "approved" if approve else "denied"
                return
            time.sleep(0.02)

    def _until_answered(
        self, client: Client, key: str, tool: str, args: dict[str, Any]
    ) -> dict[str, Any]:
        while True:
            try:
                return client.submit("main", tool, args, background=True, key=key)
            except (DaemonDownError, OSError):
                time.sleep(0.02)


def kill_loop(user: User, kills: int, seed: int) -> str:
    """Kill the daemon so many times under load, check what ran, and return the figures."""
    dice = random.Random(seed)
    path = str(user.profile("hello", PROFILE))
    user.run("start", "-c", path)
    before = user.wait_for_state("ready")["container"]
    load = Load(Path(user.env["DEEPD_RUNTIME_DIR"]) / "deepd.sock", seed)
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(load.client, number) for number in range(CLIENTS)]
        try:
            slowest = max(
                _kill_and_restart(user, path, dice.uniform(0.0, 0.3)) for _ in range(kills)
            )
        finally:
            load.stopping.set()
        for client in clients:
            client.result(60)
    with closing(Client(load.socket)) as reader:
        eventually_sync(lambda: not reader.calls("main", open_only=True), within=60)
        states = Counter(call["state"] for call in reader.calls("main", limit=1000))

    ran = Counter(user.file("ran").decode().split())
    wanted = {*load.asked} | {m for m, state in load.decided.items() if state == "approved"}
    denied = {m for m, state in load.decided.items() if state == "denied"}
    assert set(ran) == wanted, set(ran) ^ wanted
    assert not denied & set(ran)
    assert [marker for marker, times in ran.items() if times > 1] == []
    assert containers(user) == [before]
    assert set(states) <= {"finished", "denied"}, states
    return (
        f"{kills} kills, {len(load.asked)} commands and {len(load.decided)} held writes "
        f"({len(denied)} denied): each allowed one ran once; slowest restart {slowest:.2f} s"
    )


def _kill_and_restart(user: User, path: str, after: float) -> float:
    """Kill the daemon at a moment that is left to chance; return how long it was away."""
    time.sleep(after)
    user.kill_daemon()
    begin = time.monotonic()
    user.run("start", "--no-wait", "-c", path)
    return time.monotonic() - begin


def test_a_daemon_killed_again_and_again_runs_each_allowed_call_once(
    user: User, figure: Figure
) -> None:
    figure(kill_loop(user, kills=15, seed=1))


def test_a_call_over_a_lane_outlives_daemons_with_all_of_its_output(user: User) -> None:
    path = str(user.profile("hello", PROFILE))
    user.run("start", "-c", path)
    user.wait_for_state("ready")
    assert user.json("inspect", "main")["lane"] is True
    with closing(Client(Path(user.env["DEEPD_RUNTIME_DIR"]) / "deepd.sock")) as client:
        command = "echo once >> ran; for n in $(seq 1 40); do seq 1 5000; sleep 0.05; done; exit 7"
        call = client.submit("main", "execute", {"command": command}, background=True)["id"]
        for after in (0.3, 0.5, 0.2):
            _kill_and_restart(user, path, after)
        eventually_sync(lambda: not client.calls("main", open_only=True), within=60)
        found = client.call(call)
        printed = b"".join(line.get("data", b"") for line in client.output(call))
    numbers = b"".join(b"%d\n" % number for number in range(1, 5001))
    assert printed == 40 * numbers
    assert (found["state"], found["exit_code"]) == ("finished", 7)
    assert user.file("ran") == b"once\n"
    assert user.json("inspect", "main")["lane"] is True, "the last daemon has one again"


@pytest.mark.slow
def test_a_daemon_killed_hundreds_of_times_runs_each_allowed_call_once(
    user: User, figure: Figure
) -> None:
    kills = int(os.environ.get("DEEPD_TEST_KILLS", "300"))
    figure(kill_loop(user, kills=kills, seed=2))
