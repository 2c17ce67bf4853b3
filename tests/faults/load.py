"""What makes load: many stored calls, many subscribers, many requests; and figures of a process."""

from __future__ import annotations

import os
import selectors
import socket
import sqlite3
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from deepd.client.sync import Client

TICK = os.sysconf("SC_CLK_TCK")


def store_calls(state: Path, count: int) -> None:
    """Copy the newest call of a store that no daemon has until there are so many more."""
    with closing(sqlite3.connect(state / "deepd.db")) as database:
        names = [row[1] for row in database.execute("PRAGMA table_info(calls)")]
        changed = {
            "number": "last + n",
            "id": "lower(hex(randomblob(16)))",
            "idempotency_key": "''",
        }
        chosen = ", ".join(changed.get(name, name) for name in names)
        database.execute(
            "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < ?), "
            "newest AS (SELECT *, (SELECT max(number) FROM calls) AS last FROM calls "
            "WHERE ended_at IS NOT NULL ORDER BY number DESC LIMIT 1) "
            f"INSERT INTO calls ({', '.join(names)}) SELECT {chosen} FROM many, newest",
            (count,),
        )
        database.execute(
            "INSERT OR IGNORE INTO outputs SELECT id, 100, zeroblob(100) FROM calls "
            "WHERE ended_at IS NOT NULL"
        )
        database.commit()


class Subscribers:
    """Followers of the event stream on raw sockets; the first never reads."""

    def __init__(self, path: str, count: int) -> None:
        self._closing = ExitStack()
        self._selector = self._closing.enter_context(selectors.DefaultSelector())
        self._lines = [0] * count
        for number in range(count):
            follower = self._closing.enter_context(socket.socket(socket.AF_UNIX))
            follower.connect(path)
            follower.sendall(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: deepd\r\n\r\n")
            if number:
                follower.settimeout(0)
                self._selector.register(follower, selectors.EVENT_READ, number)

    def read(self, wanted: int, within: float) -> float:
        """Read until each reader has so many events; return the seconds that it took."""
        began = time.monotonic()
        while min(self._lines[1:]) < wanted:
            assert time.monotonic() - began < within, f"{min(self._lines[1:])} of {wanted} events"
            for key, _ in self._selector.select(0.1):
                data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                assert data, "a reader was cut off"
                self._lines[key.data] += data.count(b'{"id":')
        return time.monotonic() - began

    def close(self) -> None:
        """Go away, all at once."""
        self._closing.close()


def ask_many(path: str, target: str, seconds: float, connections: int = 4) -> tuple[int, float]:
    """Ask for the same again and again; return how many answers came, and the slowest."""
    request = f"GET {target} HTTP/1.1\r\nHost: deepd\r\n\r\n".encode()
    answers, slowest, began = 0, 0.0, time.monotonic()
    with ExitStack() as closing_all:
        sockets = [
            closing_all.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(connections)
        ]
        for one in sockets:
            one.connect(path)
        while time.monotonic() - began < seconds:
            asked = time.monotonic()
            for one in sockets:
                one.sendall(request)
            for one in sockets:
                _read_answer(one)
            answers += connections
            slowest = max(slowest, time.monotonic() - asked)
    return answers, slowest


def _read_answer(one: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += one.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    (length,) = (
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += one.recv(1 << 16)


def decide_many(client: Client, session: str, count: int) -> list[float]:
    """Have so many commands held and approve each; return the seconds of each approval."""
    took = []
    for number in range(count):
        args = {"command": f"true {number}"}
        call = client.submit(session, "execute", args, background=True)
        shown = client.approval(call["id"])
        began = time.perf_counter()
        client.decide(call["id"], approve=True, fingerprint=shown["fingerprint"])
        took.append(time.perf_counter() - began)
    return took


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which that part of all lies (nearest rank)."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def resident(pid: int) -> int:
    """Return the memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def states(client: Client) -> dict[str, Any]:
    """Return how many sessions are in each state."""
    found: dict[str, int] = {}
    for session in client.sessions():
        found[session["state"]] = found.get(session["state"], 0) + 1
    return found
