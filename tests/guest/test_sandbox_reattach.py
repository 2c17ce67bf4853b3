"""Attaching anew: calls go on, and their output is neither lost nor doubled."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from pathlib import Path

import pytest

from deepd.engine.process import GuestProcess, ProcessStream
from deepd.errors import CallLostError, GoneError
from deepd.guest.call import GuestCall
from deepd.guest.connection import Guest
from deepd.guest.requests import Execute, FileOp, How, Kind
from deepd.model.ids import new_call_id
from deepd.sandbox.sandbox import Sandbox
from tests.eventually import eventually

NUMBERS = b"".join(b"%d\n" % n for n in range(200_000))
COUNT = Execute(("seq", "0", "199999"))


async def rest(call: GuestCall, *, ack: bool = True) -> bytes:
    """Read to the end."""
    output = b""
    while (chunk := await call.read()) is not None:
        output += chunk.data
        if ack:
            call.ack(chunk.offset + len(chunk.data))
    return output


async def attach(process: GuestProcess, garbage: bytes = b"") -> Guest:
    """Attach, with what a former owner left half-written in front."""
    stream = process.open()
    stream.write(garbage)
    return await Guest.connect(stream)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"half a frame",
        b"\xff" * 70_000,
        b"\xf0\xff\0\0" + b"\1" * 12 + b"payload",
        b"\0" * 30_000,
    ],
    ids=["nothing", "text", "ones", "a long frame cut short", "zeros"],
)
async def test_output_goes_on_where_it_was_stored(
    guest_process: GuestProcess, garbage: bytes
) -> None:
    first = await attach(guest_process)
    call_id = new_call_id()
    call = await first.open(call_id, COUNT)
    stored = b""
    while len(stored) < 300_000:
        chunk = await call.read()
        assert chunk is not None
        stored += chunk.data
        call.ack(len(stored))
    second = await attach(guest_process, garbage)
    followed = await second.follow(call_id, offset=len(stored))
    assert followed is not None
    assert stored + await rest(followed) == NUMBERS
    end = await followed.wait()
    assert (end.how, end.code, end.size) == (How.EXITED, 0, len(NUMBERS))
    await second.aclose()
    await first.aclose()


async def test_what_was_received_and_not_acknowledged_comes_again(
    guest_process: GuestProcess,
) -> None:
    first = await attach(guest_process)
    call_id = new_call_id()
    call = await first.open(call_id, COUNT)
    assert await call.read() is not None
    await first.aclose()
    with pytest.raises(CallLostError):
        await rest(call)
    second = await attach(guest_process)
    followed = await second.follow(call_id)
    assert followed is not None
    assert await rest(followed) == NUMBERS
    await second.aclose()


async def test_a_call_that_ended_meanwhile_gives_its_real_exit_code(
    guest_process: GuestProcess, workspace: Path
) -> None:
    first = await attach(guest_process)
    call_id = new_call_id()
    command = "while [ ! -e go ]; do sleep 0.01; done; echo ended; touch gone; exit 7"
    await first.open(call_id, Execute((command,), shell=True))
    await first.aclose()
    (workspace / "go").touch()
    await eventually((workspace / "gone").exists)
    second = await attach(guest_process)
    for _ in range(2):
        followed = await second.follow(call_id)
        assert followed is not None
        assert await rest(followed, ack=False) == b"ended\n"
        assert (await followed.wait()).code == 7
        assert followed.state == "finished"
    second.release(call_id)
    with pytest.raises(GoneError):
        await second.follow(call_id)
    assert await second.follow(new_call_id()) is None
    await second.aclose()


async def test_many_attachments_in_the_middle_of_output_lose_nothing(
    guest_process: GuestProcess,
) -> None:
    call_id = new_call_id()
    guest = await attach(guest_process)
    call: GuestCall | None = await guest.open(call_id, COUNT)
    output = b""
    for turn in range(40):
        assert call is not None
        chunk = await call.read()
        if chunk is None:
            break
        output += chunk.data
        if turn % 2:
            call.ack(len(output))
        stream = guest_process.open()
        guest = await Guest.connect(stream)
        call = await guest.follow(call_id, offset=len(output))
    assert call is not None
    output += await rest(call)
    assert output == NUMBERS
    assert (await call.wait()).code == 0
    await guest.aclose()


async def test_input_goes_on_where_the_guest_has_it(guest_process: GuestProcess) -> None:
    first = await attach(guest_process)
    call_id = new_call_id()
    data = bytes(range(256)) * 8192
    call = await first.open(call_id, Execute(("sha256sum",), stdin=True))
    await call.write_stdin(data[:700_000])
    await first.aclose()
    second = await attach(guest_process)
    followed = await second.follow(call_id)
    assert followed is not None
    await followed.write_stdin(data[followed.stdin_sent :])
    await followed.close_stdin()
    assert (await rest(followed)).split()[0].decode() == hashlib.sha256(data).hexdigest()
    await second.aclose()


async def test_a_write_whose_owner_went_away_changes_nothing_and_ends(
    guest_process: GuestProcess, workspace: Path
) -> None:
    (workspace / "file").write_text("before")
    first = await attach(guest_process)
    call_id = new_call_id()
    call = await first.open(call_id, FileOp(Kind.WRITE, "file", size=1000))
    await call.write_stdin(b"x" * 500)
    await first.aclose()
    second = await attach(guest_process)
    followed = await second.follow(call_id)
    assert followed is not None
    followed.kill(0)
    await rest(followed)
    await followed.wait()
    assert [path.name for path in workspace.iterdir()] == ["file"]
    assert (workspace / "file").read_text() == "before"
    await second.aclose()


async def test_a_guest_that_ends_loses_its_calls(guest: Guest, guest_stream: ProcessStream) -> None:
    call = await guest.open(new_call_id(), Execute(("sleep", "60")))
    os.kill(guest_stream.process.pid, signal.SIGKILL)
    with pytest.raises(CallLostError):
        await asyncio.wait_for(call.wait(), 30)
    await guest.wait_closed()


async def test_a_guest_that_is_asked_to_end_ends_its_calls_first(
    guest: Guest, guest_stream: ProcessStream
) -> None:
    call = await guest.open(new_call_id(), Execute(("sleep", "60")))
    await guest_stream.process.stop()
    assert (await call.wait()).how is How.KILLED


async def test_a_lease_ends_an_idle_guest_only(guest_stream: ProcessStream) -> None:
    guest = await Guest.connect(guest_stream)
    result = await Sandbox(guest).execute(Execute(("true",), cwd="/"))
    assert result.exit.code == 0
    await guest.set_lease(1)
    await guest.aclose()
    assert await asyncio.wait_for(guest_stream.process.wait(), 20) == 0
