"""What a work takes that no clock shows: the daemon's system calls, and its requests to the engine.

Unlike times they are the same on every machine, so they say where a time comes from. Instructions
are there too where `perf` can count them, which many virtual machines do not let it.
"""

from __future__ import annotations

import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepd.client.sync import Client
from tests.bench.daemon import PROFILE, daemon
from tests.eventually import eventually_sync

TIMES = 5
_CALL = re.compile(r"^\d+ +([a-z_0-9]+)\(")
_REQUEST = re.compile(r'"(?:GET|HEAD|POST|PUT|DELETE) /v\d+\.\d+/')
_WAITING = {"futex", "clock_nanosleep", "restart_syscall"}
"""Threads that wait for each other, and the watcher of files: not the work's."""
_INSTRUCTIONS = re.compile(r"^ *([\d,.]+) +instructions", re.MULTILINE)

Work = Callable[[Client], object]


def _new_session(client: Client) -> None:
    client.exec(f"c{secrets.token_hex(6)}", ["true"], profile="bench")


_WORKS: dict[str, Work] = {
    "true": lambda client: client.exec("main", ["true"]),
    "write 1 KiB": lambda client: client.write("main", "small", b"x" * 1024),
    "read 1 KiB": lambda client: client.read("main", "small"),
    "write 8 MiB": lambda client: client.write("main", "large", b"x" * (8 << 20)),
    "read 8 MiB": lambda client: client.read("main", "large"),
    "new sandbox to first result": _new_session,
}


def measure(_pairs: int) -> list[dict[str, Any]]:
    """Return the counts for one of each work, each the least of a few."""
    if shutil.which("strace") is None:
        raise SystemExit("counts needs strace: apt-get install strace")
    with daemon() as client:
        rows = [_row(what, work, client) for what, work in _WORKS.items()]
    with daemon(f"{PROFILE}warm = 1\n") as client:
        rows.append(_row("claim from the pool to first result", _new_session, client))
    return rows


def show(rows: list[dict[str, Any]]) -> str:
    """Return the counts as a table."""
    lines = ["counts: of the daemon, for one", f"  {'':36} system calls   to the engine"]
    lines += [f"  {row['what']:36} {row['calls']:12} {row['requests']:15}" for row in rows]
    if any(row["instructions"] for row in rows):
        lines += [f"  {row['what']:36} {row['instructions']:12,} instructions" for row in rows]
    else:
        lines.append("  this machine counts no instructions")
    return "\n".join(lines)


def _row(what: str, work: Work, client: Client) -> dict[str, Any]:
    pid = int(client.info()["pid"])
    work(client)
    found = []
    for _ in range(TIMES):
        _rest(client)
        with _traced(pid) as lines:
            work(client)
        found.append((_calls(lines), sum(bool(_REQUEST.search(line)) for line in lines)))
    _rest(client)
    calls, requests = min(found)
    instructions = _instructions(pid, lambda: work(client))
    return {"what": what, "calls": calls, "requests": requests, "instructions": instructions}


def _rest(client: Client) -> None:
    """Wait until the daemon has nothing left to do, such as to fill its pool."""
    eventually_sync(lambda: not client.plan(), within=60)
    time.sleep(0.3)  # what follows a plan that is carried out: a look, and its events


@contextmanager
def _traced(pid: int) -> Iterator[list[str]]:
    """Gather a process's system calls, of all its threads, while the block runs."""
    lines: list[str] = []
    with tempfile.NamedTemporaryFile("r") as log:
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-s", "32", "-o", log.name, "-p", str(pid)]
        )
        try:
            eventually_sync(lambda: f"TracerPid:\t{tracer.pid}\n" in _status(pid), within=10)
            yield lines
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(30)
        lines += log.read().splitlines()


def _calls(lines: list[str]) -> int:
    names = [found[1] for line in lines if (found := _CALL.match(line))]
    return sum(name not in _WAITING for name in names)


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def _instructions(pid: int, work: Callable[[], object]) -> int | None:
    """Return a process's instructions during a work; `None` where nothing counts them."""
    if shutil.which("perf") is None:
        return None
    command = ["perf", "stat", "-e", "instructions:u", "-p", str(pid)]
    counter = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    time.sleep(0.3)
    work()
    counter.send_signal(signal.SIGINT)
    _, printed = counter.communicate(timeout=30)
    found = _INSTRUCTIONS.search(printed)
    return int(re.sub(r"[,.]", "", found[1])) if found else None
