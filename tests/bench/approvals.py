"""How long a decision takes until it is acknowledged, which is when it is on the disk.

Beside it, on the same disk: a write that waits for it, and a commit of the store.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from deepd.client.sync import Client
from tests.eventually import eventually_sync
from tests.faults import load
from tests.faults.failpoints import VARIABLE
from tests.faults.nursery import Nursery
from tests.faults.place import FAKE_HEAD, new_place

Found = dict[str, dict[str, float]]
PROFILE = '[interrupt_on]\nexecute = "ask"\n'
BLOCK = 4096
BOUND = 5.0
"""Milliseconds at the 99th percentile, on a machine that does nothing else."""


def measure(pairs: int) -> Found:
    """Return milliseconds by what was done."""
    nursery = Nursery()
    try:
        with new_place(nursery, head=FAKE_HEAD) as place:
            del place.env[VARIABLE]
            place.profile("asked", PROFILE)
            place.start()
            place.client.open_session("main", "asked")
            eventually_sync(lambda: place.client.session("main")["state"] == "ready")
            load.decide_many(place.client, "main", 20)
            found = {
                "a write and fdatasync of 4 KiB": _times(_synced(place.home), pairs),
                "a commit of SQLite, WAL, FULL": _times(_committed(place.home), pairs),
                "a request that needs no disk": _times(place.client.health, pairs),
                "a decision, nothing else to do": _decided(place.client, pairs),
                "a decision, calls running": load.decide_many(place.client, "main", pairs),
            }
    finally:
        nursery.close()
    return {name: _figures(took) for name, took in found.items()}


def show(found: Found) -> str:
    """Return the figures as text."""
    lines = ["approvals: milliseconds, median, 99th percentile, longest"]
    lines += [
        f"  {name:34} {took['p50']:8.3f} {took['p99']:8.3f} {took['longest']:8.3f}"
        for name, took in found.items()
    ]
    return "\n".join(lines)


def _decided(client: Client, times: int) -> list[float]:
    """Decide when the call before has ended, as people do."""
    took = []
    for number in range(times):
        args = {"command": f"true alone {number}"}
        call = client.submit("main", "execute", args, background=True)["id"]
        shown = client.approval(call)
        began = time.perf_counter()
        client.decide(call, approve=True, fingerprint=shown["fingerprint"])
        took.append(time.perf_counter() - began)
        client.call(call, wait=30)
    return took


def _figures(took: list[float]) -> dict[str, float]:
    return {
        "p50": load.percentile(took, 0.5) * 1000,
        "p99": load.percentile(took, 0.99) * 1000,
        "longest": max(took) * 1000,
    }


def _times(do: Callable[[], object], times: int) -> list[float]:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        do()
        took.append(time.perf_counter() - began)
    return took


def _synced(folder: Path) -> Callable[[], object]:
    file = os.open(folder / "synced", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write() -> None:
        os.write(file, bytes(BLOCK))
        os.fdatasync(file)

    return write


def _committed(folder: Path) -> Callable[[], object]:
    database = sqlite3.connect(folder / "committed.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE rows (data BLOB)")

    def commit() -> None:
        with closing(database.cursor()) as cursor:
            cursor.execute("INSERT INTO rows VALUES (zeroblob(1000))")

    return commit
