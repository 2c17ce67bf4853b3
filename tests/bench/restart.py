"""How long a whole daemon takes from its exec to its first answer, with much to take up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from shutil import copy, copytree

from deepd.errors import DaemonDownError
from tests.eventually import eventually_sync
from tests.faults import load
from tests.faults.failpoints import VARIABLE
from tests.faults.nursery import Nursery
from tests.faults.place import Place, new_place

Found = dict[str, float]
SESSIONS, CALLS = 200, 100_000
ROUNDS = 5


def measure(pairs: int) -> Found:
    """Return the seconds of the starts."""
    nursery = Nursery()
    try:
        with new_place(nursery) as place:
            del place.env[VARIABLE]
            _fill(place)
            # The first may find modules that nobody has compiled yet; pip does that when it
            # installs deepd. So it is made, and not counted.
            _start(place)
            took = sorted(_start(place) for _ in range(max(2, min(ROUNDS, pairs))))
            return {"best": took[0], "median": took[len(took) // 2], "worst": took[-1]}
    finally:
        nursery.close()


def show(found: Found) -> str:
    """Return the figures as text."""
    return (
        f"restart: a process that is executed answers after {found['best']:.2f} s at best,"
        f" {found['median']:.2f} s at the median, {found['worst']:.2f} s at worst,"
        f" over {SESSIONS} running sandboxes and {CALLS:,} stored calls"
    )


def _fill(place: Place) -> None:
    names = ", ".join(f'"s{number}"' for number in range(SESSIONS))
    place.profile("many", f'sessions = [{names}]\n[interrupt_on]\nexecute = "allow"\n')
    place.start()
    eventually_sync(lambda: load.states(place.client) == {"ready": SESSIONS}, within=300)
    place.client.exec("s0", "echo it")
    eventually_sync(lambda: not place.client.calls(open_only=True))
    place.kill()
    load.store_calls(place.state, CALLS)
    copytree(place.state, _kept(place), ignore=_all_but_the_store)


def _kept(place: Place) -> Path:
    return place.home / "kept"


def _all_but_the_store(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith("deepd.db")]


def _put_back(place: Place) -> None:
    """Have all calls there again, and on the disk: a daemon forgets old ones as it runs."""
    for left in place.state.glob("deepd.db*"):
        left.unlink()
    for kept in _kept(place).iterdir():
        with Path(copy(kept, place.state)).open("rb") as copied:
            os.fsync(copied.fileno())


def _start(place: Place) -> float:
    _put_back(place)
    command = [sys.executable, "-m", "deepd", "run"]
    command += [word for path in place.profiles for word in ("-c", str(path))]
    with (place.home / "log").open("ab") as log:
        began = time.monotonic()
        process = subprocess.Popen(command, env=place.env, stdout=log, stderr=log)
    try:
        while True:
            with suppress(DaemonDownError, OSError):
                if place.client.info()["pid"] == process.pid:
                    break
            assert process.poll() is None, place.log()[-2000:]
            time.sleep(0.002)
        took = time.monotonic() - began
        eventually_sync(lambda: load.states(place.client) == {"ready": SESSIONS}, within=120)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    return took
