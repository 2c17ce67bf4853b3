"""Terminals."""

from __future__ import annotations

import os
import signal
import struct

import pytest

from tests.guest.driver import EXITED, KILLED, PTY, RESIZE, STDIN_FLAG, TIMED_OUT, Driver
from tests.guest.native.conftest import StartGuest


def test_a_program_gets_a_terminal_of_the_size_that_was_asked_for(guest: Driver) -> None:
    call = guest.run("tty && stty size && echo $TERM", flags=PTY, rows=31, cols=97)
    assert call.code == 0
    assert b"31 97" in call.stdout
    assert b"xterm" in call.stdout
    assert not call.stderr


def test_input_is_echoed_and_ends(guest: Driver) -> None:
    call = guest.shell("read x; echo got $x; cat; echo over", flags=PTY | STDIN_FLAG)
    guest.stdin(call, b"hello\nline\npart")
    assert guest.end(call).code == 0
    text = bytes(call.stdout).replace(b"\r\n", b"\n")
    assert b"got hello\n" in text
    assert text.endswith(b"partover\n")


def test_interrupt_is_a_character(guest: Driver) -> None:
    # A shell's child that has not become its program yet may swallow it, so the program is short.
    script = "trap 'echo int; exit 3' INT; echo up; while :; do sleep 0.05; done"
    call = guest.shell(script, flags=PTY | STDIN_FLAG)
    guest.wait(lambda: b"up" in call.stdout and call.credit)
    guest.stdin(call, b"\x03", fin=False)
    assert guest.end(call).code == 3
    assert b"int" in call.stdout


def test_a_resize_reaches_the_program(guest: Driver) -> None:
    call = guest.shell(
        "trap 'stty size; exit 0' WINCH; echo up; while :; do sleep 0.05; done", flags=PTY
    )
    guest.wait(lambda: b"up" in call.stdout)
    guest.send(RESIZE, struct.pack("<HH", 50, 132), call.channel)
    assert guest.end(call).code == 0
    assert b"50 132" in call.stdout


def test_long_output_of_a_terminal_arrives_whole(guest: Driver) -> None:
    call = guest.run("stty -opost; seq 1 100000", flags=PTY)
    assert bytes(call.stdout) == b"".join(b"%d\n" % number for number in range(1, 100_001))


def test_what_holds_the_terminal_after_its_main_process_does_not_hold_the_call(
    guest: Driver,
) -> None:
    call = guest.run("trap '' HUP; (trap '' HUP; sleep 20) & echo done", flags=PTY)
    assert call.how == EXITED
    assert b"done" in call.stdout
    assert call.number(6) < 10e6


def test_a_terminal_call_is_killed_like_any_other(guest: Driver) -> None:
    call = guest.shell("trap '' HUP TERM; sleep 300; sleep 300", flags=PTY, timeout=200, grace=50)
    assert guest.end(call).how == TIMED_OUT
    call = guest.shell("sleep 300", flags=PTY | STDIN_FLAG)
    guest.kill(call)
    guest.end(call)
    assert (call.how, call.code) == (KILLED, 128 + signal.SIGKILL)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can switch user")
def test_the_terminal_belongs_to_the_user(start_guest: StartGuest) -> None:
    guest = start_guest(user="1234:2345")
    guest.hello()
    call = guest.run("stat -c %u $(tty); echo x > $(tty)", flags=PTY)
    assert call.code == 0
    assert bytes(call.stdout).split() == [b"1234", b"x"]
