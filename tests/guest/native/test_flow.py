"""Windows, acknowledgements and credit: all is bounded, and nobody delays another."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

from tests.guest.driver import ACK, KILLED, STDIN, STDIN_FLAG, Call, Driver

WINDOW = 256 << 10


def ack(guest: Driver, call: Call, offset: int) -> None:
    """Acknowledge output."""
    guest.send(ACK, struct.pack("<Q", offset), call.channel)


def test_no_more_than_the_window_is_sent_without_an_acknowledgement(guest: Driver) -> None:
    call = guest.open("head", "-c", "1000000", "/dev/zero", acks=False)
    guest.wait(lambda: call.offset == WINDOW)
    guest.idle(0.2)
    assert call.offset == WINDOW
    ack(guest, call, 100_000)
    guest.wait(lambda: call.offset == WINDOW + 100_000)
    call.acks = True
    ack(guest, call, call.offset)
    guest.end(call)
    assert call.offset == 1_000_000


def test_an_acknowledgement_of_more_than_there_was_is_harmless(guest: Driver) -> None:
    call = guest.open("head", "-c", "300000", "/dev/zero", acks=False)
    guest.wait(lambda: call.offset == WINDOW)
    ack(guest, call, 1 << 60)
    guest.end(call)
    assert call.offset == 300_000


def test_a_full_window_of_one_call_delays_no_other(guest: Driver) -> None:
    stuck = guest.open("yes", acks=False)
    guest.wait(lambda: stuck.offset == WINDOW)
    assert bytes(guest.run("echo quick").stdout) == b"quick\n"
    guest.kill(stuck)
    stuck.acks = True
    ack(guest, stuck, stuck.offset)
    assert guest.end(stuck).how == KILLED


def test_a_ping_is_answered_within_a_flood(guest: Driver) -> None:
    flood = guest.open("yes")
    flood.keeps = False
    guest.wait(lambda: flood.offset > 1_000_000)
    for _ in range(5):
        guest.ping()
    guest.kill(flood)
    assert guest.end(flood).how == KILLED


def test_output_that_changes_its_stream_at_every_byte_arrives_whole(guest: Driver) -> None:
    script = "import os\nfor _ in range(20000): os.write(1, b'o'); os.write(2, b'e')"
    call = guest.end(guest.open("python3", "-c", script))
    assert (call.stdout.count(b"o"), call.stderr.count(b"e")) == (20_000, 20_000)


def test_input_makes_the_round_trip(guest: Driver) -> None:
    data = os.urandom(3_000_000)
    call = guest.open("cat", flags=STDIN_FLAG)
    guest.stdin(call, data)
    guest.end(call)
    assert bytes(call.stdout) == data


def test_credit_is_bounded_by_what_the_program_takes(guest: Driver) -> None:
    call = guest.shell("sleep 0.5; wc -c", flags=STDIN_FLAG)
    guest.wait(lambda: call.credit)
    assert call.credit == WINDOW
    guest.stdin(call, bytes(2_000_000))
    guest.end(call)
    assert call.stdout.strip() == b"2000000"


def test_more_input_than_was_granted_ends_the_call(guest: Driver) -> None:
    call = guest.open("sleep", "300", flags=STDIN_FLAG)
    guest.wait(lambda: call.credit)
    for _ in range(7):
        guest.send(STDIN, bytes(60_000), call.channel)
    guest.end(call)
    assert call.how == KILLED
    assert "granted" in call.note


def test_input_for_a_call_that_takes_none_ends_it(guest: Driver) -> None:
    call = guest.open("sleep", "300")
    guest.send(STDIN, b"x", call.channel)
    assert "takes none" in guest.end(call).note


def test_a_program_that_closes_its_input_does_not_stop_its_sender(guest: Driver) -> None:
    call = guest.shell("exec 0<&-; sleep 0.3; echo over", flags=STDIN_FLAG)
    guest.stdin(call, bytes(3_000_000))
    assert bytes(guest.end(call).stdout) == b"over\n"


def test_input_goes_on_after_a_reattachment(guest: Driver) -> None:
    call = guest.open("cat", flags=STDIN_FLAG)
    guest.wait(lambda: call.credit)
    guest.send(STDIN, b"first ", call.channel)
    guest.wait(lambda: call.stdout)
    guest.hello()
    again = guest.follow(call.id, 6)
    assert again.state is not None
    assert again.state[2] == 6
    guest.wait(lambda: again.credit)
    guest.stdin(again, b"second")
    assert bytes(guest.end(again).stdout) == b"second"


def test_an_owner_that_does_not_read_does_not_make_the_guest_grow(guest: Driver) -> None:
    for _ in range(20_000):
        guest.send(2, b"12345678")
    call = guest.channel()
    deadline = time.monotonic() + 20
    while guest.outbox and time.monotonic() < deadline:
        os.set_blocking(guest.process.stdin.fileno(), False)  # type: ignore[union-attr]
        try:
            sent = os.write(guest.process.stdin.fileno(), guest.outbox)  # type: ignore[union-attr]
        except BlockingIOError:
            break
        del guest.outbox[:sent]
    assert call.status is None
    status = Path(f"/proc/{guest.process.pid}/status").read_text()
    assert guest.process.poll() is None
    assert "State:" in status
    guest.ping()
    assert guest.run("echo ok").code == 0
