"""The lane: the same frames over a socket, taken and left at exact frames, and never waited for."""

from __future__ import annotations

import errno
import os
import select
import socket

import pytest

from tests.guest.driver import LANE, LANED, PING, RESYNC, STDIN_FLAG, Driver, encode, one_field
from tests.guest.native.conftest import Host, StartGuest

NUMBERS = b"".join(b"%d\n" % number for number in range(1, 200_001))


@pytest.fixture
def laned(start_guest: StartGuest, host: Host) -> Driver:
    """Return a guest that was told of the folder and is greeted."""
    driver = start_guest("--lane", str(host.folder))
    driver.hello()
    return driver


def test_a_guest_that_is_asked_to_comes_and_proves_who_it_is(laned: Driver, host: Host) -> None:
    with host.met(laned) as connection:
        assert host.proof == host.token + dict(laned.welcome)[3]
        laned.move(connection)
        assert bytes(laned.run("echo over the lane").stdout) == b"over the lane\n"
        laned.ping()
        assert laned.process.stdout is not None
        assert not select.select([laned.process.stdout], [], [], 0)[0]


def test_a_call_that_prints_through_the_change_loses_and_doubles_nothing(
    laned: Driver, host: Host
) -> None:
    call = laned.open("seq", "1", "200000")
    laned.wait(lambda: call.offset > 100_000)
    with host.met(laned) as connection:
        laned.move(connection)
        assert bytes(laned.end(call).stdout) == NUMBERS


def test_input_that_is_sent_through_the_change_arrives_in_order(laned: Driver, host: Host) -> None:
    data = os.urandom(300_000)
    call = laned.open("cat", flags=STDIN_FLAG)
    laned.stdin(call, data[:100_000], fin=False)
    with host.met(laned) as connection:
        laned.move(connection)
        laned.stdin(call, data, sent=100_000)
        assert bytes(laned.end(call).stdout) == data


def test_when_the_lane_ends_the_guest_goes_on_at_its_stdin(laned: Driver, host: Host) -> None:
    with host.met(laned) as connection:
        laned.move(connection)
        running = laned.shell("sleep 0.3; seq 1 200000")
        done = laned.run("echo kept")
    laned.move_back()
    laned.hello()
    followed = laned.follow(running.id)
    assert bytes(laned.end(followed).stdout) == NUMBERS
    kept = laned.follow(done.id, offset=done.offset)
    assert kept.state is not None
    assert kept.state[0] == 2
    assert laned.end(kept).code == 0
    with host.met(laned) as connection:
        laned.move(connection)
        assert bytes(laned.run("echo again").stdout) == b"again\n"


def test_a_hello_at_stdin_ends_the_lane(laned: Driver, host: Host) -> None:
    with host.met(laned) as connection:
        laned.move(connection)
        running = laned.shell("sleep 0.3; echo done")
        laned.move_back()
        laned.hello()
        assert connection.recv(1) == b""
        assert bytes(laned.end(laned.follow(running.id)).stdout) == b"done\n"


def test_nothing_else_is_heard_at_stdin_while_a_lane_is_open(laned: Driver, host: Host) -> None:
    with host.met(laned) as connection:
        stdin = laned.process.stdin
        assert stdin is not None
        os.set_blocking(stdin.fileno(), True)
        stdin.write(encode(PING, b"12345678") + RESYNC + encode(PING, b"12345678"))
        os.set_blocking(stdin.fileno(), False)
        laned.move(connection)
        assert bytes(laned.run("echo heard").stdout) == b"heard\n"
        assert not [frame for frame in laned.frames if frame.payload == b"12345678"]


def test_an_owner_that_does_not_read_its_lane_cannot_keep_the_next_one_out(
    laned: Driver, host: Host
) -> None:
    flood = laned.open("yes", acks=False)
    with host.met(laned) as connection:
        connection.settimeout(0)
        ping = encode(PING, bytes(8)) * 100
        while select.select([], [connection], [], 0.5)[1]:
            connection.send(ping)  # until answers fill every buffer on the way
        laned.hello()
        laned.kill(laned.follow(flood.id))
        assert bytes(laned.run("echo mine").stdout) == b"mine\n"


@pytest.mark.parametrize("name", ["", "../meet", "/meet", ".", "a b", "x" * 33, "meet\0"])
def test_a_name_that_leads_elsewhere_is_refused(laned: Driver, host: Host, name: str) -> None:
    assert host.ask(laned, name) == errno.EINVAL
    laned.ping()


@pytest.mark.parametrize("token", [b"", bytes(31), bytes(33)])
def test_a_token_of_another_size_is_refused(laned: Driver, host: Host, token: bytes) -> None:
    laned.send(LANE, one_field(1, b"meet") + one_field(2, token))
    assert host.answer(laned) == errno.EINVAL
    laned.ping()


def test_where_nobody_listens_the_guest_says_so_and_stays(laned: Driver, host: Host) -> None:
    assert host.ask(laned) == errno.ENOENT
    (host.folder / "meet").touch()
    assert host.ask(laned) == errno.ECONNREFUSED
    (host.folder / "meet").unlink()
    assert bytes(laned.run("echo here").stdout) == b"here\n"


def test_a_crowd_at_the_socket_is_not_waited_for(laned: Driver, host: Host) -> None:
    with host.listening(backlog=0) as listener, socket.socket(socket.AF_UNIX) as crowd:
        crowd.connect(listener.getsockname())
        with socket.socket(socket.AF_UNIX) as second:
            second.settimeout(0)
            second.connect_ex(listener.getsockname())
            assert host.ask(laned) == errno.EAGAIN
    laned.ping()


def test_a_second_lane_is_refused_while_one_is_open(laned: Driver, host: Host) -> None:
    with host.met(laned) as connection:
        laned.move(connection)
        laned.frames.clear()
        assert host.ask(laned) == errno.EALREADY
        laned.ping()


def test_a_guest_without_a_folder_has_no_lane(guest: Driver, host: Host) -> None:
    with host.listening():
        assert host.ask(guest) == errno.EOPNOTSUPP
    guest.ping()


def test_a_program_does_not_get_the_lane(laned: Driver, host: Host) -> None:
    with host.met(laned) as connection:
        laned.move(connection)
        assert b"socket:" not in bytes(laned.run("ls -l /proc/self/fd").stdout)


def test_the_end_of_stdin_ends_a_guest_that_is_no_init_over_its_lane(
    laned: Driver, host: Host
) -> None:
    with host.met(laned) as connection:
        assert laned.process.stdin is not None
        laned.process.stdin.close()
        assert laned.process.wait(20) == 0
        assert connection.recv(1) == b""


def test_laned_is_the_last_that_stdout_says(laned: Driver, host: Host) -> None:
    call = laned.open("yes")
    call.keeps = False
    with host.met(laned) as connection:
        assert laned.frames[-1].type == LANED
        laned.move(connection)
        before = call.offset
        laned.wait(lambda: call.offset > before + 1_000_000)
        laned.kill(call)
        laned.end(call)
