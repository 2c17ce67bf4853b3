"""Commands: what a program hears of them, on the real engine."""

from __future__ import annotations

import time
from typing import Any

import pytest

from deepd import CallTimeoutError, DockerSandbox
from deepd.errors import ArgumentsError
from tests.eventually import eventually_sync
from tests.images import EMPTY

pytestmark = pytest.mark.docker


def survivors(sandbox: DockerSandbox, mark: str) -> str:
    """Return the command lines in the sandbox that contain a mark."""
    script = (
        "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null; echo; done"
        f" | grep '{mark[0]}[{mark[1]}]{mark[2:]}' || true"
    )
    return sandbox.execute(script).output


def test_both_streams_come_in_order_and_apart(sandbox: DockerSandbox) -> None:
    done = sandbox.execute("echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three; exit 3")
    assert done.output == "one\ntwo\nthree\n"
    assert (done.stdout, done.stderr) == ("one\nthree\n", "two\n")
    assert (done.exit_code, done.truncated) == (3, False)
    assert 0.2 <= done.duration < 10


def test_a_missing_program_is_exit_code_127(sandbox: DockerSandbox) -> None:
    done = sandbox.execute("no-such-program --at-all")
    assert done.exit_code == 127
    assert "no-such-program" in done.output


def test_an_image_without_a_shell_says_so(own: str) -> None:
    with DockerSandbox(EMPTY) as bare:
        done = bare.execute("true")
    assert done.exit_code == 127
    assert "could not be started" in done.output


def test_a_background_job_holds_nobody_up(sandbox: DockerSandbox) -> None:
    began = time.monotonic()
    done = sandbox.execute("sleep 20 & echo done")
    assert (done.output, done.exit_code) == ("done\n", 0)
    assert time.monotonic() - began < 5
    assert "sleep 20" in survivors(sandbox, "sleep 20")


@pytest.mark.parametrize(
    "command",
    [
        "echo begun; trap '' TERM; while :; do sleep 4321; done",
        "echo begun; setsid sleep 4321 & sleep 4321",
        "echo begun; (trap '' TERM HUP; setsid sh -c 'sleep 4321 & sleep 4321' &) ; sleep 4321",
    ],
)
def test_a_timeout_ends_all_that_was_started_within_a_second(
    sandbox: DockerSandbox, command: str
) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="longer than 1s") as caught:
        sandbox.execute(command, timeout=1)
    assert 0.9 < time.monotonic() - began < 3.5
    assert isinstance(caught.value, CallTimeoutError)
    assert caught.value.output == b"begun\n"
    eventually_sync(lambda: "4321" not in survivors(sandbox, "4321"), within=5)


def test_the_sandbox_goes_on_after_a_timeout(sandbox: DockerSandbox) -> None:
    with pytest.raises(TimeoutError):
        sandbox.execute("sleep 30", timeout=0.2)
    assert sandbox.execute("echo still here").output == "still here\n"


def test_long_output_is_cut_and_said_to_be() -> None:
    with DockerSandbox(output=1000) as small:
        done = small.execute("seq 1 100000")
    assert done.truncated
    assert done.output.startswith("1\n2\n3\n")
    assert len(done.output) == 1000
    assert done.exit_code == 0


def test_endless_output_ends_the_command(own: str) -> None:
    with DockerSandbox(output=1000, output_kill=1 << 20) as small:
        done = small.execute("yes")
    assert done.truncated
    assert done.exit_code != 0
    assert "printed more than 1.0M" in done.output


def test_output_that_is_no_text_is_replaced(sandbox: DockerSandbox) -> None:
    assert sandbox.execute(r"printf 'a\377b'").output == "a\ufffdb"


def test_the_environment_goes_with_every_command(own: str) -> None:
    with DockerSandbox(env={"GREETING": "hello ' there"}) as made:
        assert made.execute('echo "$GREETING"').output == "hello ' there\n"


def test_commands_run_as_an_ordinary_user_in_the_work_dir(sandbox: DockerSandbox) -> None:
    done = sandbox.execute("id -u; pwd; grep CapEff /proc/self/status; touch here && rm here")
    assert done.output.split() == ["1000", "/workspace", "CapEff:", "0" * 16]
    assert done.exit_code == 0


@pytest.mark.parametrize("command", ["", "  ", "echo a\0b"])
def test_a_command_that_cannot_be_run_is_refused(sandbox: DockerSandbox, command: str) -> None:
    with pytest.raises(ArgumentsError, match="empty or has a NUL"):
        sandbox.execute(command)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), 1e12, "5"])
def test_a_timeout_that_makes_no_sense_is_refused(sandbox: DockerSandbox, timeout: Any) -> None:
    with pytest.raises(ArgumentsError, match="the timeout must be"):
        sandbox.execute("true", timeout=timeout)
