"""Commands in a real guest: output, input, ends, limits, and many at once."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deepd.errors import ArgumentsError, ConflictError
from deepd.guest.connection import Guest
from deepd.guest.requests import Execute, How
from deepd.model.ids import new_call_id
from deepd.sandbox.sandbox import Sandbox
from tests.eventually import eventually


def sh(text: str, **fields: object) -> Execute:
    return Execute((text,), shell=True, **fields)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_command_gives_its_output_and_exit_code(sandbox: Sandbox) -> None:
    result = await sandbox.execute(sh("echo out; echo err >&2; exit 3"))
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")
    assert (result.exit.how, result.exit.code) == (How.EXITED, 3)
    assert (result.size, result.truncated) == (8, False)
    assert sorted(result.output.splitlines()) == [b"err", b"out"]


async def test_output_stays_in_the_order_in_which_it_was_printed(sandbox: Sandbox) -> None:
    steps = "; ".join(f"echo {n} >&{1 + n % 2}; sleep 0.02" for n in range(8))
    result = await sandbox.execute(sh(steps))
    assert result.output.split() == [b"%d" % n for n in range(8)]
    merged = await sandbox.execute(sh("echo out; echo err >&2; echo out", merge=True))
    assert (merged.stdout, merged.stderr) == (b"out\nerr\nout\n", b"")


async def test_arguments_go_through_unchanged(sandbox: Sandbox) -> None:
    args = ("printf", "%s|", "a b", "", "$HOME", "*", "new\nline", "é", b"\xff\x01")
    result = await sandbox.execute(Execute(args))
    assert result.output == b"a b||$HOME|*|new\nline|\xc3\xa9|\xff\x01|"


async def test_environment_and_folder_are_the_callers(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "sub").mkdir()
    result = await sandbox.execute(sh('pwd; echo "$GREETING"', env={"GREETING": "hi = there"}))
    assert result.output.decode() == f"{workspace}\nhi = there\n"
    result = await sandbox.execute(sh("pwd", cwd=str(workspace / "sub")))
    assert result.output.decode() == f"{workspace}/sub\n"


async def test_input_reaches_the_command_and_ends(sandbox: Sandbox) -> None:
    assert (await sandbox.execute(sh("cat"), stdin=b"\0some\xffbytes")).output == b"\0some\xffbytes"
    assert (await sandbox.execute(sh("cat"))).output == b""

    async def pieces() -> AsyncIterator[bytes]:
        for n in range(100):
            yield bytes([n]) * 20_000

    result = await sandbox.execute(sh("wc -c"), stdin=pieces())
    assert result.output.split() == [b"2000000"]


async def test_a_command_may_leave_its_input_unread(sandbox: Sandbox) -> None:
    result = await sandbox.execute(sh("head -c 5"), stdin=b"12345" + bytes(4 << 20))
    assert result.output == b"12345"


async def test_input_that_fails_ends_the_command(sandbox: Sandbox) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"begun"
        raise RuntimeError("the source is gone")

    with pytest.raises(RuntimeError, match="source is gone"):
        await asyncio.wait_for(sandbox.execute(sh("cat; sleep 0.2"), stdin=broken()), 30)


async def test_a_timeout_ends_all_and_keeps_what_was_printed(sandbox: Sandbox) -> None:
    start = time.monotonic()
    result = await sandbox.execute(sh("echo $$; trap '' TERM; sleep 60", timeout=0.3, grace=0.1))
    assert time.monotonic() - start < 5
    assert result.exit.how is How.TIMED_OUT
    pid = int(result.output)
    await eventually(lambda: not alive(pid))


async def test_a_cancelled_command_is_ended(sandbox: Sandbox, workspace: Path) -> None:
    running = asyncio.create_task(sandbox.execute(sh("echo $$ > pid; sleep 60")))
    note = workspace / "pid"
    await eventually(lambda: note.exists() and note.read_text().strip())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: not alive(int(note.read_text())))


async def test_a_killed_call_says_so(guest: Guest) -> None:
    call = await guest.open(new_call_id(), Execute(("sleep", "60")))
    call.kill(grace=0)
    assert await call.read() is None
    end = await call.wait()
    assert (end.how, end.code) == (How.KILLED, 137)


async def test_a_signal_reaches_the_command(guest: Guest) -> None:
    call = await guest.open(
        new_call_id(), sh("trap 'echo got it; exit 5' USR1; echo up; sleep 9 & wait")
    )
    chunk = await call.read()
    assert chunk is not None
    assert chunk.data == b"up\n"
    call.signal(10)
    chunk = await call.read()
    assert chunk is not None
    assert chunk.data == b"got it\n"
    assert (await call.wait()).code == 5


async def test_much_output_is_cut_at_what_is_kept_and_counted_in_full(sandbox: Sandbox) -> None:
    result = await sandbox.execute(sh("head -c 10000000 /dev/zero"), keep=1 << 20)
    assert result.truncated
    assert result.size == 10_000_000
    assert len(result.output) == len(result.stdout) == 1 << 20
    assert result.exit.stdout == 10_000_000


async def test_output_over_the_limit_ends_the_command(sandbox: Sandbox) -> None:
    result = await asyncio.wait_for(sandbox.execute(sh("yes", output_kill=100_000)), 20)
    assert result.exit.how is How.OUTPUT
    assert 100_000 <= result.size < 1 << 20


async def test_sixteen_at_once_do_not_mix(sandbox: Sandbox) -> None:
    commands = [sh(f"for i in 1 2 3; do echo {n}; done; exit {n}") for n in range(16)]
    results = await asyncio.gather(*(sandbox.execute(command) for command in commands))
    assert [result.exit.code for result in results] == list(range(16))
    assert [result.output for result in results] == [b"%d\n" % n * 3 for n in range(16)]


async def test_a_call_that_nobody_reads_delays_no_other(guest: Guest, sandbox: Sandbox) -> None:
    flood = await guest.open(new_call_id(), sh("yes"))
    for n in range(5):
        assert (await asyncio.wait_for(sandbox.execute(sh(f"echo {n}")), 30)).exit.code == 0
    flood.abandon()
    assert (await asyncio.wait_for(flood.wait(), 30)).how is How.KILLED


async def test_children_left_in_the_background_are_not_waited_for(sandbox: Sandbox) -> None:
    start = time.monotonic()
    result = await sandbox.execute(sh("sleep 20 & echo done"))
    assert result.output == b"done\n"
    assert time.monotonic() - start < 5


async def test_what_cannot_be_started_says_why(sandbox: Sandbox, workspace: Path) -> None:
    missing = await sandbox.execute(Execute(("no-such-program",)))
    assert (missing.exit.how, missing.exit.code, missing.exit.errno) == (How.NOT_STARTED, 127, 2)
    (workspace / "text").write_text("no program")
    denied = await sandbox.execute(Execute((str(workspace / "text"),)))
    assert (denied.exit.how, denied.exit.code) == (How.NOT_STARTED, 126)
    nowhere = await sandbox.execute(sh("true", cwd="/no/such/folder"))
    assert nowhere.exit.how is How.NOT_STARTED


async def test_an_id_runs_once(sandbox: Sandbox, workspace: Path) -> None:
    call_id = new_call_id()
    request = sh("echo x >> times")
    await sandbox.execute(request, call_id=call_id)
    with pytest.raises(ConflictError):
        await sandbox.execute(request, call_id=call_id)
    sandbox.guest.release(call_id)
    with pytest.raises(ConflictError):
        await sandbox.execute(request, call_id=call_id)
    assert (workspace / "times").read_text() == "x\n"


async def test_a_request_that_is_too_large_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ArgumentsError, match="bytes"):
        await sandbox.execute(Execute(("true", *["x" * 1000] * 1100)))
    result = await sandbox.execute(Execute(("true", *["x" * 1000] * 900)))
    assert result.exit.code == 0


async def test_a_terminal_has_a_size_and_one_stream(guest: Guest) -> None:
    call = await guest.open(
        new_call_id(), sh("stty size; test -t 0 && echo tty >&2", pty=(40, 100))
    )
    output = b""
    while (chunk := await call.read()) is not None:
        assert chunk.stream == 1
        output += chunk.data
    assert output.replace(b"\r", b"") == b"40 100\ntty\n"


async def test_many_calls_leave_nothing_open(sandbox: Sandbox) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, not paths
    for _ in range(20):
        await asyncio.gather(*(sandbox.execute(Execute(("/bin/true",))) for _ in range(20)))
    assert sandbox.guest._calls == {}
    assert sandbox.guest._channels == {}
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 1  # noqa: PTH208 - the same
