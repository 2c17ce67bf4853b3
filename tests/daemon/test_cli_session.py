"""The command line on a real daemon: calls, files, approvals, terminals, and the end."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import signal
import struct
import subprocess
import tarfile
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.daemon.cli_user import DEEPD, User, fake_daemon, new_user
from tests.eventually import eventually_sync

ASKS = 'interrupt_on = ["execute"]\n'
NEVER = '[interrupt_on]\nexecute = "deny"\n'


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user of one daemon for all tests of this module."""
    with new_user() as somebody, fake_daemon(somebody, main="", asks=ASKS, never=NEVER):
        yield somebody


def test_a_commands_streams_and_exit_code_are_ours(user: User) -> None:
    done = user.run("exec", "main", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert user.run("exec", "main", "--", "no-such-program").returncode == 127
    assert user.run("exec", "main", "-c", "kill -9 $$").returncode == 137


def test_stdin_is_passed_on_with_every_byte_and_its_end(user: User) -> None:
    data = bytes(range(256)) * 2000
    assert user.run("exec", "-i", "main", "--", "cat", stdin=data).stdout == data


def test_a_call_that_takes_too_long_exits_with_6_and_a_denied_one_with_7(user: User) -> None:
    assert user.run("exec", "main", "--timeout", "0.2", "--", "sleep", "60").returncode == 6
    denied = user.run("exec", "never", "--", "true")
    assert denied.returncode == 7
    assert b"never.toml:6:1: " in denied.stderr


def test_a_held_call_waits_is_shown_exactly_and_runs_once_after_approve(user: User) -> None:
    waiting = user.spawn("exec", "asks", "--", "touch", "a b", "\u202ec")
    held = user.held()
    shown = user.text("approve", held[:10])
    assert "touch 'a b' '\\u{202e}c'" in shown
    out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, out) == (0, b"")
    assert err.count(b"held: waiting for a decision") == 1
    assert held[:12].encode() in err
    assert user.run("approve", held).returncode == 8
    assert user.run("approve", "ffffffff").returncode == 4


def test_a_refused_call_exits_with_7_and_the_reason(user: User) -> None:
    waiting = user.spawn("exec", "asks", "--", "touch", "x")
    user.text("deny", user.held(), "-m", "use the other folder")
    _, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 7
    assert b"use the other folder" in err


def test_an_edited_call_runs_as_edited(user: User) -> None:
    waiting = user.spawn("exec", "asks", "-c", "touch one")
    user.env["EDITOR"] = "sed -i s/one/two/"
    user.text("approve", user.held(), "--edit", "-y")
    waiting.communicate(timeout=30)
    assert waiting.returncode == 0
    workspace = user.home / "workspaces" / "asks" / "workspace"
    assert (workspace / "two").exists()
    assert not (workspace / "one").exists()


def test_an_interrupt_cancels_the_call(user: User) -> None:
    running = user.spawn("exec", "main", "-c", "echo started; exec sleep 60")
    assert running.stdout is not None
    assert running.stdout.readline() == b"started\n"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert b"cancelling" in err
    assert json.loads(user.text("ps", "--json"))["sessions"][0]["running"] == 0


def test_a_detached_call_is_waited_for_by_its_id(user: User) -> None:
    call = user.text("exec", "main", "-d", "-c", "echo 42; exit 5").strip()
    done = user.run("wait", call[:12])
    assert (done.returncode, done.stdout) == (5, b"42\n")
    assert json.loads(user.run("wait", "--json", call).stdout)["exit_code"] == 5


def test_kill_ends_what_runs(user: User) -> None:
    call = user.text("exec", "main", "-d", "--", "sleep", "60").strip()
    assert user.text("kill", "main").split() == [call]
    assert user.run("wait", call).returncode == 1


def test_files_and_folders_come_back_as_they_went(user: User, tmp_path: Path) -> None:
    source = tmp_path / "src"
    (source / "deep").mkdir(parents=True)
    (source / "a").write_bytes(bytes(range(256)) * 5000)
    (source / "deep" / "run").write_text("#!/bin/sh\n")
    (source / "deep" / "run").chmod(0o755)
    (source / "link").symlink_to("a")
    user.text("cp", str(source), "main:copy")
    user.text("cp", "main:copy", str(tmp_path / "back"))
    back = tmp_path / "back"
    assert (back / "a").read_bytes() == (source / "a").read_bytes()
    assert os.access(back / "deep" / "run", os.X_OK)
    assert (back / "link").readlink() == Path("a")
    user.text("cp", "main:copy/a", str(tmp_path / "one"))
    assert (tmp_path / "one").read_bytes() == (source / "a").read_bytes()
    user.text("cp", "main:copy/a", str(back / "deep"))
    assert (back / "deep" / "a").exists()


def test_a_dash_is_a_files_bytes_or_a_folder_as_tar(user: User) -> None:
    assert user.run("cp", "-", "main:note.txt", stdin=b"\0 note\n").returncode == 0
    assert user.run("cp", "main:note.txt", "-").stdout == b"\0 note\n"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("from-tar")
        entry.size = 2
        tar.addfile(entry, io.BytesIO(b"hi"))
    assert user.run("cp", "-", "main:.", stdin=buffer.getvalue()).returncode == 0
    with tarfile.open(fileobj=io.BytesIO(user.run("cp", "main:.", "-").stdout)) as tar:
        names = tar.getnames()
    assert {"note.txt", "from-tar"} <= set(names)


def test_a_link_that_leads_out_is_not_made_here(user: User, tmp_path: Path) -> None:
    user.text(
        "exec", "main", "-c", "mkdir -p trap; ln -sf /etc/passwd trap/out; echo x > trap/file"
    )
    done = user.run("cp", "main:trap", str(tmp_path / "trap"))
    assert done.returncode == 5
    assert b"leads out" in done.stderr
    assert not (tmp_path / "trap" / "out").is_symlink()


def test_what_is_not_there_exits_with_4(user: User, tmp_path: Path) -> None:
    assert user.run("cp", "main:nothing", str(tmp_path / "x")).returncode == 4
    assert user.run("cp", str(tmp_path / "nothing"), "main:x").returncode == 4
    assert user.run("inspect", "nobody").returncode == 4


def test_logs_and_events_follow_until_they_are_interrupted(user: User) -> None:
    following = user.spawn("logs", "-f", "main")
    assert following.stdout is not None
    mark = f"mark-{time.monotonic_ns()}"
    user.text("exec", "main", "--", "echo", mark)
    while following.stdout.readline() != f"{mark}\n".encode():
        pass
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=30)
    assert following.returncode == -signal.SIGINT
    assert mark in user.text("logs", "main", "--search", mark).splitlines()
    events = [json.loads(line) for line in user.text("events", "--json").splitlines()]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))


def test_a_reader_that_goes_away_gets_no_complaint(user: User) -> None:
    command = " ".join([*DEEPD, "events", "--json", "|", "head", "-n", "1"])
    done = subprocess.run(
        ["sh", "-c", command], env=user.env, capture_output=True, timeout=60, check=True
    )
    assert done.stderr == b""
    assert done.stdout.count(b"\n") == 1


class Terminal:
    """A person's terminal with one command in it."""

    def __init__(self, user: User, *args: str) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(40, 100)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = subprocess.Popen(
            [*DEEPD, *args],
            env=user.env | {"TERM": "xterm"},
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )
        os.set_blocking(self.master, False)

    def resize(self, rows: int, cols: int) -> None:
        """Change the window's size."""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def shows(self, text: bytes) -> bool:
        """Tell whether the text has been on the screen by now."""
        with suppress(BlockingIOError):
            self.seen += os.read(self.master, 1 << 16)
        return text in self.seen

    def end(self) -> int:
        """Wait for the command's end and check that the terminal is as it was."""
        code = self.process.wait(timeout=30)
        assert termios.tcgetattr(self.slave) == self.before
        self.shows(b"")
        os.close(self.master)
        os.close(self.slave)
        return code


def test_a_shell_has_our_size_our_keys_and_gives_the_terminal_back(user: User) -> None:
    terminal = Terminal(user, "shell", "main", "--", "sh", "-i")
    eventually_sync(lambda: terminal.shows(b"$ "))
    terminal.type(b"stty size\n")
    eventually_sync(lambda: terminal.shows(b"40 100\r\n"))
    terminal.resize(50, 120)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.type(b"until stty size | grep -q '50 120'; do :; done; echo re''sized\n")
    eventually_sync(lambda: terminal.shows(b"resized\r\n"))
    terminal.type(b"exit 7\n")
    assert terminal.end() == 7


def test_ctrl_p_ctrl_q_leaves_the_shell_running(user: User) -> None:
    terminal = Terminal(user, "shell", "main", "--", "sh", "-i")
    eventually_sync(lambda: terminal.shows(b"$ "))
    terminal.type(b"\x10")
    terminal.type(b"\x11")
    assert terminal.end() == 0
    assert b"detached" in terminal.seen
    assert len(user.text("kill", "main").split()) == 1


def test_a_terminal_that_is_told_to_end_is_given_back(user: User) -> None:
    terminal = Terminal(user, "shell", "main", "--", "sh", "-i")
    eventually_sync(lambda: terminal.shows(b"$ "))
    terminal.process.terminate()
    assert terminal.end() == 143
    user.text("kill", "main")


def test_a_held_shell_is_cancelled_by_ctrl_c(user: User) -> None:
    terminal = Terminal(user, "shell", "asks", "--", "touch", "x")
    eventually_sync(lambda: terminal.shows(b"held: waiting"))
    terminal.type(b"\x03")
    assert terminal.end() != 0
    assert user.text("approvals", "-q") == ""


def test_who_asked_for_a_held_shell_sees_it_whole_and_may_approve_it_there(user: User) -> None:
    terminal = Terminal(user, "shell", "asks", "--", "sh", "-c", "echo ran $((6 * 7))")
    terminal.type(b"y")  # nothing has been shown: it decides nothing
    eventually_sync(lambda: terminal.shows(b"y approves it"))
    assert b"sh -c 'echo ran $((6 * 7))'" in terminal.seen
    assert b"held by" in terminal.seen
    assert user.text("approvals", "-q") != ""
    terminal.type(b"y")
    assert terminal.end() == 0
    assert b"ran 42\r\n" in terminal.seen


def test_a_held_call_appears_to_who_watches(user: User) -> None:
    watching = user.spawn("approvals", "--watch", "-q")
    assert watching.stdout is not None
    held = user.text("exec", "asks", "-d", "--", "touch", "y").strip()
    assert watching.stdout.readline().decode().strip() == held
    user.text("deny", held)
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=30)


def test_status_of_a_broken_file_points_at_the_place_and_reload_exits_with_78(user: User) -> None:
    profile = user.home / "main.toml"
    good = profile.read_text()
    profile.write_text("idle_timout = 3\n" + good)
    done = user.run("reload")
    assert done.returncode == 78
    assert b"did you mean `idle_timeout`" in done.stderr
    assert f"--> {profile}:1:1" in user.text("status")
    profile.write_text(good)
    assert user.run("reload").returncode == 0
