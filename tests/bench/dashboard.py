"""The dashboard in a terminal: its first paint as a whole process, and from a key to the screen.

Keys go in turn to two dashboards that follow logs: of a sandbox that is quiet, and of one that
prints 50,000 lines a second. What the second adds is the flood's.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from deepd.client.sync import Client
from tests.bench.daemon import PROFILE, daemon
from tests.bench.timing import interleave

ROWS, COLUMNS = 40, 120
PATIENCE = 30.0
_KEPT = 1 << 18
"""Bytes that are looked through."""
DOWN = "\x1b[B"
"""The second session is `quiet`."""
FLOOD = """\
import os, time
second, total, due = 50_000, 0, time.monotonic()
batch = "".join(f"a line of a build that prints a lot {n}\\n" for n in range(second // 20))
while True:
    print(batch, end="", flush=True)
    total += second // 20
    with open("printed.new", "w") as file:
        file.write(str(total))
    os.replace("printed.new", "printed")
    due = max(due + 0.05, time.monotonic() - 1)
    time.sleep(max(0.0, due - time.monotonic()))
"""
"""Prints on time, catches up by a second at most, and says how many lines it got rid of."""


class Terminal:
    """A program in a pty that is always read, and what it wrote since somebody last looked."""

    def __init__(self, *words: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            words,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=os.environ | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        os.close(slave)
        self._seen = b""
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def press(self, keys: str) -> None:
        """Forget what came, and press keys."""
        with self._more:
            self._seen = b""
        os.write(self._master, keys.encode())

    def sees(self, text: str) -> None:
        """Wait until a text comes."""
        wanted = text.encode()
        with self._more:
            came = self._more.wait_for(lambda: wanted in self._seen, PATIENCE)
            assert came, f"no {text!r} in {self._seen[-2000:]!r}"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        os.close(self._master)

    def _read(self) -> None:
        """Take what it writes to the end of it, as a terminal does: nobody waits to write."""
        with suppress(OSError):
            while data := os.read(self._master, 1 << 16):
                with self._more:
                    self._seen = (self._seen + data)[-_KEPT:]
                    self._more.notify_all()


def measure(pairs: int) -> list[dict[str, Any]]:
    """Return the first paint beside a Python that does nothing, and keys beside a quiet one."""
    with daemon(PROFILE + 'interrupt_on = []\nsessions = ["main", "quiet"]\n') as client:
        client.exec("quiet", "echo here")
        socket = str(client.socket_path)
        opened: list[Terminal] = []
        starts = {
            "python -c pass": _nothing,
            "from `deepd dashboard` to its first paint": lambda: _first_paint(socket, opened),
        }
        rows = interleave(starts, pairs, warm_up=1, tidy=lambda: _close(opened))
        with _flood(client), _follows(socket, "quiet") as quiet, _follows(socket, "main") as main:
            before, begin = _lines(client), time.monotonic()
            keys = {"from a key to the screen, nothing printed": _key(quiet)}
            keys["from a key to the screen, in the flood"] = _key(main)
            rows += interleave(keys, pairs, warm_up=2)
            rate = (_lines(client) - before) / (time.monotonic() - begin)
    rows[-1]["what"] += f" of {rate:,.0f}/s"
    return rows


def _nothing() -> object:
    return subprocess.run([sys.executable, "-c", "pass"], check=True)


def _first_paint(socket: str, opened: list[Terminal]) -> None:
    opened.append(_dashboard(socket))
    opened[-1].sees("quiet")


def _close(opened: list[Terminal]) -> None:
    while opened:
        opened.pop().close()


def _dashboard(socket: str) -> Terminal:
    return Terminal(sys.executable, "-m", "deepd", "--socket", socket, "dashboard")


@contextmanager
def _follows(socket: str, session: str) -> Iterator[Terminal]:
    """Attach a dashboard, and follow what a session prints."""
    terminal = _dashboard(socket)
    try:
        terminal.sees("quiet")
        terminal.press("l" if session == "main" else f"{DOWN}l")
        terminal.sees("a line of a build" if session == "main" else "echo here")
        yield terminal
    finally:
        terminal.close()


def _key(terminal: Terminal) -> Callable[[], None]:
    """Return a press of `f`, up to the title that it changes."""
    answers = itertools.cycle(("stays here", "following"))

    def press() -> None:
        terminal.press("f")
        terminal.sees(next(answers))

    return press


@contextmanager
def _flood(client: Client) -> Iterator[None]:
    """Let `main` print, until its sandbox is stopped with the daemon."""
    client.write("main", "flood.py", FLOOD.encode())
    args = {"command": "python3 flood.py"}
    call = client.submit("main", "execute", args, wait=False, background=True)
    try:
        yield
    finally:
        client.cancel(call["id"])


def _lines(client: Client) -> int:
    return int(client.read("main", "printed"))
