"""What a command gets and what is told of its end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.guest.driver import (
    EXITED,
    MERGE,
    NOT_STARTED,
    SIGNALLED,
    Driver,
)
from tests.guest.native.conftest import StartGuest


def test_output_streams_and_exit_code_arrive(guest: Driver) -> None:
    call = guest.run("echo out; echo err >&2; exit 7")
    assert (bytes(call.stdout), bytes(call.stderr)) == (b"out\n", b"err\n")
    assert (call.how, call.code) == (EXITED, 7)
    assert (call.number(4), call.number(5), call.number(7)) == (4, 4, 8)


def test_a_signalled_program_is_told_as_such(guest: Driver) -> None:
    call = guest.run("kill -SEGV $$")
    assert (call.how, call.code) == (SIGNALLED, 128 + signal.SIGSEGV)


def test_merged_output_is_one_stream_in_order(guest: Driver) -> None:
    call = guest.run("echo 1; echo 2 >&2; echo 3", flags=MERGE)
    assert bytes(call.stdout) == b"1\n2\n3\n"


def test_streams_keep_the_order_in_which_they_were_written(guest: Driver) -> None:
    call = guest.run("for i in 1 2 3; do echo $i; sleep 0.05; echo e$i >&2; sleep 0.05; done")
    streams = [f.payload[8] for f in guest.frames if f.type == 68 and f.channel == call.channel]
    assert streams == [1, 2, 1, 2, 1, 2]


def test_every_byte_value_survives(guest: Driver, work_dir: Path) -> None:
    (work_dir / "bytes").write_bytes(bytes(range(256)) * 100)
    call = guest.end(guest.open("cat", "bytes"))
    assert bytes(call.stdout) == bytes(range(256)) * 100


def test_arguments_are_passed_as_they_are(guest: Driver) -> None:
    call = guest.end(guest.open("printf", "%s|", "a b", "", "$HOME\n", b"\xff\xfe"))
    assert bytes(call.stdout) == b"a b||$HOME\n|\xff\xfe|"


def test_a_missing_program_is_127_with_errno(guest: Driver) -> None:
    call = guest.end(guest.open("no-such-program-anywhere"))
    assert (call.how, call.code, call.errno) == (NOT_STARTED, 127, 2)
    assert "no-such-program-anywhere" in call.note


@pytest.mark.parametrize("path", ["./plain", "/tmp"])
def test_what_cannot_be_executed_is_126(guest: Driver, work_dir: Path, path: str) -> None:
    (work_dir / "plain").write_text("echo no\n")
    call = guest.end(guest.open(path))
    assert (call.how, call.code) == (NOT_STARTED, 126)


def test_a_bad_folder_is_named(guest: Driver) -> None:
    call = guest.end(guest.open("true", cwd="/no/such/folder"))
    assert (call.how, call.errno) == (NOT_STARTED, 2)
    assert "/no/such/folder" in call.note


def test_the_folder_is_the_work_dir_unless_another_is_asked_for(
    guest: Driver, work_dir: Path
) -> None:
    (work_dir / "inner").mkdir()
    assert bytes(guest.end(guest.open("pwd")).stdout).decode().strip() == str(work_dir)
    assert bytes(guest.end(guest.open("pwd", cwd="inner")).stdout).strip().endswith(b"/inner")
    assert bytes(guest.end(guest.open("pwd", cwd="/")).stdout) == b"/\n"


def test_variables_are_added_to_those_of_the_container(guest: Driver) -> None:
    call = guest.end(guest.open("env", env={"NEW": "1", "HOME": "/other"}))
    lines = bytes(call.stdout).decode().splitlines()
    assert "NEW=1" in lines
    assert [line for line in lines if line.startswith("HOME=")] == ["HOME=/other"]
    assert [line for line in lines if line.startswith("USER=")]
    assert f"PATH={os.environ['PATH']}" in lines


def test_a_program_inherits_nothing_of_the_guest(guest: Driver) -> None:
    call = guest.run(
        "ls /proc/self/fd | tr '\\n' ' '; umask; grep -E 'Sig(Blk|Ign)' /proc/self/status"
    )
    text = bytes(call.stdout).decode().split()
    assert text[:4] == ["0", "1", "2", "3"]  # 3 is what ls itself opened
    assert text[4] == "0022"
    assert [value for value in text[5:] if value.strip("0")] == ["SigBlk:", "SigIgn:"]


def test_a_program_can_gain_no_privilege(guest: Driver) -> None:
    call = guest.run("grep -E 'NoNewPrivs|Cap(Prm|Eff|Bnd|Amb)|Groups' /proc/self/status")
    found = dict(line.split(":\t", 1) for line in bytes(call.stdout).decode().splitlines())
    assert found["NoNewPrivs"] == "1"
    assert {name: int(found[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {
        "CapPrm": 0,
        "CapEff": 0,
        "CapAmb": 0,
    }


def test_input_is_empty_unless_it_was_asked_for(guest: Driver) -> None:
    assert bytes(guest.run("readlink /proc/self/fd/0; cat").stdout) == b"/dev/null\n"


def test_a_request_may_come_in_pieces(guest: Driver) -> None:
    words = [f"{number:05}" * 20 for number in range(2000)]
    call = guest.end(guest.open("printf", "%s\n", *words))
    assert bytes(call.stdout).decode().split() == words


def test_a_request_that_is_too_large_is_refused(guest: Driver) -> None:
    call = guest.open("true", *(["x" * 60_000] * 18))
    assert call.status == 3
    assert "too large" in call.why
    assert guest.run("echo still here").code == 0


def test_many_calls_run_at_once(guest: Driver) -> None:
    calls = [guest.shell(f"echo {n}; sleep 0.3; echo {n} again; exit {n}") for n in range(16)]
    for number, call in enumerate(calls):
        guest.end(call)
        assert call.code == number
        assert bytes(call.stdout).decode() == f"{number}\n{number} again\n"
    assert all(call.number(6) < 20e6 for call in calls)


def test_what_a_command_leaves_running_does_not_hold_it(guest: Driver) -> None:
    call = guest.run("sleep 20 & echo done")
    assert bytes(call.stdout) == b"done\n"
    assert call.number(6) < 10e6


def test_a_chatty_leftover_neither_holds_the_call_nor_blocks(guest: Driver, work_dir: Path) -> None:
    script = (
        "(i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; touch finished) & echo done"
    )
    assert guest.run(script).code == 0
    guest.until((work_dir / "finished").exists)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can switch user")
def test_commands_run_as_the_user_that_was_asked_for(start_guest: StartGuest) -> None:
    guest = start_guest(user="1234:2345")
    welcome = guest.hello()
    assert int.from_bytes(welcome[4], "little") == 1234
    call = guest.run("id -u; id -g; id -G; touch made; stat -c %u:%g made")
    assert bytes(call.stdout).decode().split() == ["1234", "2345", "2345", "1234:2345"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can switch user")
def test_commands_of_another_user_cannot_signal_the_guest_or_look_into_it(
    start_guest: StartGuest,
) -> None:
    guest = start_guest(user="1234:2345")
    guest.hello()
    pid = guest.process.pid
    call = guest.run(
        f"kill -9 {pid}; kill -9 $PPID; ls /proc/{pid}/fd; cat /proc/{pid}/environ; true"
    )
    assert call.how == EXITED
    assert not call.stdout
