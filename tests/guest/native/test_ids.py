"""A call runs once, and its result waits, whatever happens to the stream."""

from __future__ import annotations

import secrets
import struct
from pathlib import Path

import pytest

from tests.guest.driver import (
    FIN,
    FOLLOW,
    HELLO,
    OPEN,
    PING,
    PONG,
    STAT,
    SYNC,
    Driver,
    encode,
    fields,
    one_field,
)
from tests.guest.native.conftest import StartGuest

UNKNOWN, RUNNING, FINISHED, RELEASED = range(4)


def test_an_id_runs_once(guest: Driver, work_dir: Path) -> None:
    call = guest.run("echo x >> log")
    for _ in range(3):
        again = guest.shell("echo x >> log", call_id=call.id)
        assert again.status == 1
    guest.release(call)
    assert guest.shell("echo x >> log", call_id=call.id).status == 1
    assert (work_dir / "log").read_text() == "x\n"


def test_follow_tells_the_four_states(guest: Driver) -> None:
    assert guest.follow(secrets.token_bytes(16)).state == (UNKNOWN, 0, 0)
    running = guest.shell("echo a; read x; echo b", flags=4)
    guest.wait(lambda: running.stdout)
    guest.ping()
    assert guest.follow(running.id).state == (RUNNING, 2, 0)
    finished = guest.run("echo done")
    guest.ping()
    assert guest.follow(finished.id).state == (FINISHED, 5, 0)
    guest.release(finished)
    assert guest.follow(finished.id).state == (RELEASED, 0, 0)


def test_a_result_is_sent_again_until_it_is_released(guest: Driver) -> None:
    call = guest.run("echo text; exit 9")
    for _ in range(3):
        guest.hello()
        again = guest.end(guest.follow(call.id, call.offset))
        assert again.exit == call.exit


def test_output_that_was_not_acknowledged_is_sent_again(guest: Driver) -> None:
    call = guest.open("for i in 1 2 3; do echo line $i; done", flags=1, acks=False)
    guest.end(call)
    guest.hello()
    whole = guest.end(guest.follow(call.id, acks=False))
    assert bytes(whole.stdout) == bytes(call.stdout)
    again = guest.end(guest.follow(call.id, 7))
    assert bytes(again.stdout) == b"line 2\nline 3\n"


def test_a_call_goes_on_while_nobody_is_attached(guest: Driver) -> None:
    call = guest.shell("echo start; sleep 0.3; echo end")
    guest.wait(lambda: call.stdout)
    guest.hello()
    again = guest.end(guest.follow(call.id, 6))
    assert bytes(again.stdout) == b"end\n"


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"\x00" * 70_000,
        secrets.token_bytes(100_000),
        encode(PING, b"12345678")[:-3],
        encode(OPEN, bytes(60_000), 5)[:30_000],
        SYNC[:9] + SYNC[:15],
        SYNC + b"\xff" * 40,
        encode(PING, b"12345678") + b"\x01",
    ],
    ids=["nothing", "zeros", "noise", "half a ping", "half an open", "half SYNCs", "SYNC", "ping"],
)
def test_an_attachment_begins_behind_any_rubbish(start_guest: StartGuest, rubbish: bytes) -> None:
    guest = start_guest()
    for _ in range(2):
        guest.write(rubbish)
        guest.hello()
        assert guest.run("echo ok").code == 0


def test_a_stream_that_is_cut_in_the_middle_of_output_is_taken_up_again(guest: Driver) -> None:
    call = guest.open("seq 1 200000", flags=1)
    guest.wait(lambda: call.offset > 300_000)
    kept, offset = bytes(call.stdout), call.offset
    guest.write(encode(OPEN, bytes(1000), 77)[:500])
    guest.hello()
    again = guest.end(guest.follow(call.id, offset))
    whole = kept + bytes(again.stdout)
    assert whole == b"".join(b"%d\n" % number for number in range(1, 200_001))


def test_a_frame_with_a_wrong_crc_is_not_obeyed(guest: Driver, work_dir: Path) -> None:
    bad = bytearray(
        encode(OPEN, fields([("id", bytes(range(16))), ("arg", "touch"), ("arg", "made")]), 9, FIN)
    )
    bad[-1] ^= 1
    guest.write(bytes(bad))
    guest.hello()
    guest.ping()
    assert guest.follow(bytes(range(16))).state == (UNKNOWN, 0, 0)
    assert not (work_dir / "made").exists()


def test_nothing_is_heard_before_hello(start_guest: StartGuest) -> None:
    guest = start_guest()
    guest.write(SYNC)
    guest.send(PING, b"12345678")
    guest.send(FOLLOW, bytes(24), 3)
    guest.hello()
    assert [frame.type for frame in guest.frames] == [65]


def test_another_version_is_answered_and_then_ignored(start_guest: StartGuest) -> None:
    guest = start_guest()
    welcome = guest.hello(version=99)
    assert welcome[2] == struct.pack("<I", 1)
    guest.send(PING, b"12345678")
    guest.hello()
    assert not [frame for frame in guest.frames if frame.type == PONG]


def test_hello_without_a_nonce_or_with_broken_fields_is_ignored(guest: Driver) -> None:
    guest.send(HELLO, b"")
    guest.send(HELLO, one_field(1, b"short"))
    guest.send(HELLO, b"\x01\xff\xff\xff\xff")
    guest.ping()
    assert guest.run("true").code == 0


def test_file_operations_without_an_id_may_be_repeated(guest: Driver) -> None:
    for _ in range(5):
        assert guest.file(STAT, ".").code == 0


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x01",
        fields([("id", bytes(15) + b"1")]),
        fields([("id", b"short"), ("arg", "true")]),
        fields([("id", bytes(16)), ("arg", "true")]),
        fields([("id", b"1" * 16), ("arg", b"a\0b")]),
        fields([("id", b"1" * 16), ("arg", "true"), ("env", "novalue")]),
        fields([("id", b"1" * 16), ("arg", "true"), ("env", "=x")]),
        fields([("id", b"1" * 16), ("kind", 99), ("path", "x")]),
        fields([("id", b"1" * 16), ("kind", 35), ("path", "x")]),
        fields([("id", bytes(16)), ("kind", 36), ("path", "x")]),
        fields([("id", b"1" * 16), ("arg", "a"), ("arg", "b"), ("flags", 1)]),
        fields([("id", b"1" * 16), ("arg", "a"), ("timeout", b"12")]),
        one_field(1, b"1" * 16) + b"\x03\xff\xff\xff\x7f",
    ],
)
def test_a_request_without_sense_is_refused_with_a_reason(guest: Driver, payload: bytes) -> None:
    call = guest.channel()
    guest.send(OPEN, payload, call.channel, FIN)
    guest.wait(lambda: call.status is not None)
    assert call.status == 3
    assert call.why
    assert guest.run("true").code == 0


def test_an_unknown_field_is_ignored(guest: Driver) -> None:
    call = guest.channel()
    payload = one_field(200, b"new") + fields([("id", call.id), ("arg", "true")])
    guest.send(OPEN, payload, call.channel, FIN)
    assert guest.end_of(call).code == 0


def test_a_channel_in_use_cannot_be_opened_again(guest: Driver) -> None:
    call = guest.shell("sleep 0.2")
    other = fields([("id", secrets.token_bytes(16)), ("arg", "true")])
    guest.send(OPEN, other, call.channel, FIN)
    guest.wait(lambda: call.status == 3)
    call.status = 0
    assert guest.end(call).code == 0


def test_more_calls_than_the_limit_are_refused_and_run_later(guest: Driver) -> None:
    calls = [guest.open("sleep", "300") for _ in range(256)]
    assert {call.status for call in calls} == {0}
    assert guest.open("true").status == 2
    for call in calls:
        guest.kill(call)
    for call in calls:
        guest.end(call, timeout=60)
        guest.release(call)
    assert guest.run("true").code == 0
