"""A call that is ended leaves nothing behind, whatever it tried."""

from __future__ import annotations

import os
import signal
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from tests.guest.driver import KILLED, OUTPUT, SIGNAL, SIGNALLED, TIMED_OUT, Call, Driver
from tests.guest.native.conftest import StartGuest

SETSID_TWICE = "setsid sh -c 'setsid sleep 300 & setsid sh -c \"sleep 300\" &' ; "
STUBBORN = "trap '' TERM HUP INT; "


def alive(marker: str) -> list[int]:
    """Return the processes that carry a marker in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                status, environ = (folder / "stat").read_text(), (folder / "environ").read_bytes()
            except OSError:
                continue
            if marker.encode() in environ and status.rpartition(")")[2].split()[0] != "Z":
                found.append(int(folder.name))
    return found


def marked(guest: Driver, command: str, **values: Any) -> tuple[Call, str]:
    """Start a command whose descendants can be found."""
    marker = f"MARKER={time.monotonic_ns()}"
    name, _, value = marker.partition("=")
    return guest.open(command, env={name: value}, flags=1, **values), marker


@pytest.mark.parametrize(
    "command",
    [
        "sleep 300",
        STUBBORN + "sleep 300; sleep 300; sleep 300",
        STUBBORN + SETSID_TWICE + "sleep 300",
        "(" + STUBBORN + "(sleep 300; sleep 300) & sleep 300 &) ; sleep 300",
        STUBBORN + "while :; do sleep 0.001; done",
    ],
)
def test_a_timeout_ends_the_whole_tree(guest: Driver, command: str) -> None:
    call, marker = marked(guest, command, timeout=300, grace=100)
    guest.end(call)
    assert call.how == TIMED_OUT
    assert call.code in (128 + signal.SIGTERM, 128 + signal.SIGKILL)
    assert call.number(6) < 10e6
    assert alive(marker) == []


def test_a_polite_tree_ends_within_the_grace(guest: Driver) -> None:
    call = guest.shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done")
    guest.wait(lambda: call.stdout)
    guest.kill(call, grace_ms=20_000)
    guest.end(call)
    assert (call.how, call.code) == (KILLED, 128 + signal.SIGTERM)
    assert bytes(call.stdout) == b"up\nbye\n"
    assert call.number(6) < 10e6


def test_a_second_kill_without_grace_does_not_wait_for_the_first(guest: Driver) -> None:
    call = guest.shell(STUBBORN + "echo up; while :; do sleep 0.01; done")
    guest.wait(lambda: call.stdout)
    guest.kill(call, grace_ms=60_000)
    guest.ping()
    guest.kill(call)
    guest.end(call, timeout=15)
    assert (call.how, call.code) == (KILLED, 128 + signal.SIGKILL)


def test_what_was_printed_before_a_kill_arrives(guest: Driver) -> None:
    call = guest.shell("head -c 50000 /dev/zero; sleep 300", timeout=500, grace=0)
    guest.end(call)
    assert (call.how, len(call.stdout)) == (TIMED_OUT, 50_000)


def test_a_flood_is_cut_where_the_limit_is(guest: Driver) -> None:
    call, marker = marked(guest, "yes", output_kill=1_000_000)
    guest.end(call)
    assert call.how == OUTPUT
    assert call.number(7) == len(call.stdout) == 1_000_001
    assert alive(marker) == []


def test_output_of_exactly_the_limit_is_fine(guest: Driver) -> None:
    assert guest.run("head -c 4096 /dev/zero", output_kill=4096).code == 0


def test_a_leftover_is_killed_by_a_kill_after_the_end(guest: Driver) -> None:
    call, marker = marked(guest, "setsid sleep 300 & echo done")
    guest.end(call)
    assert alive(marker)
    guest.kill(call)
    guest.until(lambda: not alive(marker))
    exits = [frame for frame in guest.frames if frame.type == 70 and frame.channel == call.channel]
    assert len(exits) == 1


def test_a_signal_reaches_the_main_process_only(guest: Driver) -> None:
    call = guest.shell("trap 'echo usr1' USR1; echo up; for i in 1 2 3; do sleep 0.2; done; exit 5")
    guest.wait(lambda: call.stdout)
    guest.send(SIGNAL, struct.pack("<I", signal.SIGUSR1), call.channel)
    guest.end(call)
    assert bytes(call.stdout) == b"up\nusr1\n"
    assert call.code == 5


def test_a_command_that_kills_its_own_shim_is_ended_too(guest: Driver) -> None:
    """Only where commands and guest are the same user can a command do this."""
    call, marker = marked(guest, "setsid sleep 300 & kill -9 $PPID; sleep 300")
    guest.end(call)
    assert call.how == SIGNALLED
    assert "watched" in call.note
    assert alive(marker) == []
    assert guest.run("echo on").code == 0


def test_a_command_that_stops_its_own_shim_cannot_outlive_its_timeout(guest: Driver) -> None:
    call, marker = marked(guest, "kill -STOP $PPID; sleep 300", timeout=100, grace=0)
    guest.end(call)
    assert call.how == TIMED_OUT
    assert alive(marker) == []


def test_the_end_of_the_guest_is_the_end_of_everything(start_guest: StartGuest) -> None:
    guest = start_guest()
    guest.hello()
    _, marker = marked(guest, STUBBORN + "setsid sleep 300 & sleep 300")
    guest.until(lambda: alive(marker))
    assert guest.close() == 0
    assert alive(marker) == []


def test_even_a_killed_guest_leaves_nothing_running(start_guest: StartGuest) -> None:
    guest = start_guest()
    guest.hello()
    _, marker = marked(guest, STUBBORN + "setsid sleep 300 & sleep 300")
    guest.until(lambda: len(alive(marker)) >= 2)
    os.kill(guest.process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while alive(marker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert alive(marker) == []


def test_term_ends_the_guest_with_its_calls(start_guest: StartGuest) -> None:
    guest = start_guest()
    guest.hello()
    _, marker = marked(guest, STUBBORN + "sleep 300; sleep 300")
    guest.until(lambda: alive(marker))
    guest.process.terminate()
    assert guest.process.wait(10) == 0
    assert alive(marker) == []


def test_the_lease_ends_an_idle_guest_but_not_a_busy_one(start_guest: StartGuest) -> None:
    guest = start_guest()
    guest.hello(lease=1)
    call = guest.shell("sleep 1.6")
    ended = guest.end(call)
    assert (ended.how, ended.code) == (1, 0)  # the lease was over long before
    assert guest.process.wait(10) == 0
