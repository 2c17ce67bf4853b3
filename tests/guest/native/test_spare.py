"""The spare: a shim and its program's process that are there before a call comes."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

from tests.guest.driver import STDIN_FLAG, Driver


def children(pid: int) -> list[int]:
    """Return the processes that a process has begun."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in found.split()]


def spare(guest: Driver) -> tuple[int, int]:
    """Wait for a spare in an idle guest, and return its shim and its program's process."""

    def whole() -> bool:
        shims = children(guest.process.pid)
        return len(shims) == 1 and len(children(shims[0])) == 1

    guest.until(whole)
    (shim,) = children(guest.process.pid)
    (program,) = children(shim)
    return shim, program


def open_files(shim: int) -> list[str]:
    """Return what a shim and its program's process have open."""
    folders = [Path(f"/proc/{pid}/fd") for pid in (shim, *children(shim))]
    return [str(file.readlink()) for folder in folders for file in folder.iterdir()]


def test_a_call_runs_in_the_process_that_was_there_before_it(guest: Driver) -> None:
    guest.run("true")
    _, program = spare(guest)
    assert bytes(guest.run("echo $$").stdout).split() == [b"%d" % program]
    assert spare(guest)[1] != program


def test_calls_that_find_no_spare_run_all_the_same(guest: Driver) -> None:
    calls = [guest.open("sh", "-c", f"echo {number}; sleep 0.2") for number in range(8)]
    assert [bytes(guest.end(call).stdout) for call in calls] == [b"%d\n" % n for n in range(8)]


def test_a_request_that_is_too_long_for_the_spare_runs(guest: Driver) -> None:
    _, program = spare(guest)
    text = "x" * (40 << 10)
    call = guest.run(f"echo {text} $$")
    said, pid = bytes(call.stdout).split()
    assert said == text.encode()
    assert pid != b"%d" % program
    assert spare(guest)[1] == program


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended and was reaped."""
    return not Path(f"/proc/{pid}").exists()


def test_a_spare_that_was_killed_is_replaced_and_no_call_is_lost(guest: Driver) -> None:
    for victim in (0, 1, 0, 1):
        found = spare(guest)
        os.kill(found[victim], signal.SIGKILL)
        guest.until(partial(is_gone, found[victim]))
        call = guest.run("echo ran")
        assert (bytes(call.stdout), call.code) == (b"ran\n", 0)
        assert not set(spare(guest)) & set(found)


def test_a_spare_holds_no_pipe_of_a_call(guest: Driver) -> None:
    call = guest.open("sh", "-c", "echo on; cat; echo off", flags=STDIN_FLAG)
    guest.wait(lambda: bytes(call.stdout) == b"on\n")
    guest.until(lambda: len(children(guest.process.pid)) == 2)
    made = max(children(guest.process.pid))
    guest.until(lambda: children(made))
    guest.until(lambda: (files := open_files(made)) and not any("pipe:" in each for each in files))
    guest.stdin(call, b"")
    assert bytes(guest.end(call).stdout) == b"on\noff\n"


def test_the_spare_ends_with_its_guest(guest: Driver) -> None:
    found = spare(guest)
    guest.process.kill()
    guest.process.wait()
    guest.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found))
