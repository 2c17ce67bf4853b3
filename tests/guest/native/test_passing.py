"""Files that go over a lane as descriptors: opened by the guest, or given to it."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.guest.driver import (
    FIN,
    NO_ID,
    OPEN,
    PASSED,
    READ,
    WRITE,
    Driver,
    Value,
    encode,
    fields,
    parse_record,
)
from tests.guest.native.conftest import Host, StartGuest

PASS = 1
NOT_GIVEN = 4
LARGE = os.urandom(300_000)


@pytest.fixture
def laned(start_guest: StartGuest, host: Host) -> Iterator[Driver]:
    """Return a guest that is spoken to over a lane."""
    driver = start_guest("--lane", str(host.folder))
    driver.hello()
    with host.met(driver) as connection:
        driver.move(connection)
        yield driver
    for descriptor in driver.descriptors:
        os.close(descriptor)


@pytest.fixture
def given() -> Iterator[int]:
    """Return a file in memory that holds `LARGE`."""
    descriptor = os.memfd_create("given", os.MFD_ALLOW_SEALING)
    os.write(descriptor, LARGE)
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK)
    yield descriptor
    os.close(descriptor)


def open_files(guest: Driver) -> int:
    """Return how many descriptors the guest has."""
    return len(list(Path(f"/proc/{guest.process.pid}/fd").iterdir()))


def test_a_large_file_comes_as_a_descriptor_that_can_only_be_read(
    laned: Driver, work_dir: Path
) -> None:
    (work_dir / "large").write_bytes(LARGE)
    before = open_files(laned)
    call = laned.file(READ, "large", options=PASS, offset=7)
    entry, end = parse_record(bytes(call.stdout))
    assert (entry.size, end) == (len(LARGE), len(call.stdout))
    assert (call.how, call.code) == (7, 0)
    (passed,) = laned.descriptors
    assert os.pread(passed, len(LARGE), 7) == LARGE[7:]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(passed, b"x")
    laned.until(lambda: open_files(laned) == before)


@pytest.mark.parametrize(
    ("how", "values"),
    [
        ("of a small file", {"path": "small", "options": PASS}),
        ("of few bytes", {"path": "large", "options": PASS, "size": 1000}),
        ("near the end", {"path": "large", "options": PASS, "offset": len(LARGE) - 1000}),
        ("not asked for", {"path": "large"}),
    ],
)
def test_bytes_come_as_bytes(
    laned: Driver, work_dir: Path, how: str, values: dict[str, Any]
) -> None:
    (work_dir / "large").write_bytes(LARGE)
    (work_dir / "small").write_bytes(LARGE[:1000])
    call = laned.end(laned.open(call_id=NO_ID, kind=READ, **values))
    _, at = parse_record(bytes(call.stdout))
    start = values.get("offset", 0)
    end = start + values.get("size", len(LARGE))
    whole = LARGE[:1000] if values["path"] == "small" else LARGE
    assert call.stdout[at:] == whole[start:end], how
    assert not laned.descriptors


def test_a_read_that_is_kept_by_its_id_comes_as_bytes(laned: Driver, work_dir: Path) -> None:
    (work_dir / "large").write_bytes(LARGE)
    call = laned.end(laned.open(kind=READ, path="large", options=PASS))
    assert call.stdout.endswith(LARGE)
    assert not laned.descriptors


def test_without_a_lane_a_large_file_comes_as_bytes(guest: Driver, work_dir: Path) -> None:
    (work_dir / "large").write_bytes(LARGE)
    assert guest.file(READ, "large", options=PASS).stdout.endswith(LARGE)


@pytest.mark.parametrize("kind", ["fifo", "folder", "nothing"])
def test_only_a_regular_file_is_passed(laned: Driver, work_dir: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(work_dir / kind)
    elif kind == "folder":
        (work_dir / kind).mkdir()
    assert laned.file(READ, kind, options=PASS).code == 1
    assert not laned.descriptors


def test_files_that_are_read_at_once_come_in_the_order_of_their_frames(
    laned: Driver, work_dir: Path
) -> None:
    calls = []
    for number in range(20):
        (work_dir / f"file{number}").write_bytes(b"%03d" % number + LARGE)
        call = laned.channel(NO_ID)
        values: dict[str, Value] = {
            "id": NO_ID,
            "kind": READ,
            "path": f"file{number}",
            "options": PASS,
        }
        laned.send(OPEN, fields(list(values.items())), call.channel, FIN)
        calls.append(call)
    for call in calls:
        laned.end_of(call)
    order = [frame.channel for frame in laned.frames if frame.type == PASSED]
    assert len(order) == len(laned.descriptors) == len(calls)
    for channel, descriptor in zip(order, laned.descriptors, strict=True):
        index = next(index for index, call in enumerate(calls) if call.channel == channel)
        assert os.pread(descriptor, 3, 0) == b"%03d" % index


def test_a_write_that_is_given_its_bytes_writes_them_once(
    laned: Driver, work_dir: Path, given: int
) -> None:
    before = open_files(laned)
    call = laned.end(laned.give("made", given, os.fstat(given).st_ino, len(LARGE)))
    assert (call.code, call.credit) == (0, 0)
    assert (work_dir / "made").read_bytes() == LARGE
    again = laned.channel(call.id)
    values: dict[str, Value] = {"id": call.id, "kind": WRITE, "path": "made", "size": 1}
    laned.send(OPEN, fields(list(values.items())), again.channel, FIN)
    laned.wait(lambda: again.status is not None)
    assert again.status == 1
    laned.until(lambda: open_files(laned) == before)


def test_a_write_that_is_given_its_bytes_can_append(
    laned: Driver, work_dir: Path, given: int
) -> None:
    (work_dir / "made").write_bytes(b"first")
    inode = os.fstat(given).st_ino
    assert laned.end(laned.give("made", given, inode, len(LARGE), options=2)).code == 0
    assert (work_dir / "made").read_bytes() == b"first" + LARGE


@pytest.mark.parametrize("lie", ["inode", "size"])
def test_what_was_given_must_be_what_the_request_names(
    laned: Driver, work_dir: Path, given: int, lie: str
) -> None:
    inode, size = os.fstat(given).st_ino, len(LARGE)
    before = open_files(laned)
    call = laned.give("made", given, inode + (lie == "inode"), size + (lie == "size"))
    assert call.status == NOT_GIVEN
    assert not (work_dir / "made").exists()
    assert open_files(laned) == before
    assert laned.end(laned.give("made", given, inode, size)).code == 0  # its id was not used up


def test_a_write_without_what_it_was_to_be_given_does_nothing(
    laned: Driver, work_dir: Path
) -> None:
    call = laned.channel()
    values: dict[str, Value] = {"id": call.id, "kind": WRITE, "path": "made", "size": 1, "given": 1}
    laned.send(OPEN, fields(list(values.items())), call.channel, FIN)
    laned.wait(lambda: call.status is not None)
    assert call.status == NOT_GIVEN
    assert not (work_dir / "made").exists()


def test_descriptors_that_nobody_asked_for_are_not_kept(
    laned: Driver, host: Host, given: int
) -> None:
    assert laned._lane is not None
    before = open_files(laned)
    for _ in range(200):
        socket.send_fds(laned._lane, [encode(2, bytes(8))], [given, given, given])
    laned.ping()
    assert open_files(laned) <= before + 16
    inode = os.fstat(given).st_ino
    assert laned.end(laned.give("made", given, inode, len(LARGE))).code == 0
    laned._lane.shutdown(socket.SHUT_RDWR)
    laned.move_back()
    laned.hello()
    assert open_files(laned) <= before


def test_a_given_write_that_is_killed_changes_nothing(
    laned: Driver, work_dir: Path, given: int
) -> None:
    (work_dir / "made").write_bytes(b"before")
    call = laned.give("made", given, os.fstat(given).st_ino, len(LARGE))
    laned.kill(call)
    laned.end(call)
    assert (work_dir / "made").read_bytes() in (b"before", LARGE)
    assert [path.name for path in work_dir.iterdir()] == ["made"]
