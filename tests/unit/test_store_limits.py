"""A full disk, a killed daemon, and what is forgotten in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepd.errors import LimitError
from deepd.model.call import CallState, Chunk
from deepd.model.ids import CallId
from deepd.store.retention import Retention
from deepd.store.store import Store
from tests.unit.store_rows import make_call


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path)
    yield store
    store.close()


def fill(store: Store) -> None:
    """Let the file grow no more."""
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages + 1}")


def insert_until_full(store: Store) -> list[CallId]:
    """Insert calls until one is refused; return those that were not."""
    stored: list[CallId] = []
    for _ in range(5000):
        call = make_call(args={"command": "x" * 5000})
        try:
            with store.write(durable=True):
                store.insert_call(call)
                store.append_event(1.0, "call_received", "", call.id, {})
        except LimitError as error:
            assert "no space" in str(error)  # noqa: PT017 - which of many is refused is not known
            return stored
        stored.append(call.id)
    raise AssertionError("the disk was never full")


def test_on_a_full_disk_nothing_is_admitted_and_later_it_goes_on(store: Store) -> None:
    fill(store)
    stored = len(insert_until_full(store))
    assert len(store.calls(limit=5000)) == stored
    assert store.last_event_id() == stored
    store._connection.execute("PRAGMA max_page_count = 1000000")
    with store.write():
        store.insert_call(make_call())
        assert store.append_event(1.0, "call_received", "", "", {}).id == stored + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_disk_that_is_really_full_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.decode()}")
    try:
        store = Store.open(disk / "state")
        stored = insert_until_full(store)
        with pytest.raises(LimitError):
            store.spool.append(make_call().id, [Chunk(0, 1, bytes(1 << 20))])
        assert {call.id for call in store.calls(limit=5000)} == set(stored)
        assert list(store.spool.folder.iterdir()) == [] or all(
            path.stat().st_size == 0 for path in store.spool.folder.iterdir()
        )
        store.close()
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        again = Store.open(disk / "state")
        again.insert_call(make_call())
        assert len(again.calls(limit=5000)) == len(stored) + 1
        again.close()
    finally:
        subprocess.run(["umount", disk], check=True)


WRITER = """
import sys
from pathlib import Path
from deepd.store.store import Store
from tests.unit.store_rows import make_call
store = Store.open(Path(sys.argv[1]))
while True:
    call = make_call()
    with store.write():
        store.insert_call(call)
        store.append_event(1.0, "call_received", "", call.id, {})
        store.append_audit(1.0, "call_sent", call.id, {})
    print(call.id, flush=True)
"""


def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for round_ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        acknowledged += [process.stdout.readline().strip() for _ in range(50 + 37 * round_)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.read().split()
        process.wait()
        process.stdout.close()
    store = Store.open(tmp_path)
    stored = store.calls(limit=1_000_000)
    events = store.events(0, 1_000_000)
    assert {call.id for call in stored} >= {each for each in acknowledged if len(each) == 32}
    assert [event.id for event in events] == list(range(1, len(stored) + 1))
    assert store.broken_audit_row() is None
    store.close()


def test_only_what_is_over_is_forgotten_oldest_first_with_all_that_belongs_to_it(
    store: Store,
) -> None:
    oldest_open = make_call(CallState.HELD)
    store.insert_call(oldest_open)
    over = [make_call(CallState.FINISHED, ended_at=1000.0) for _ in range(20)]
    for call in over:
        store.insert_call(call)
        store.put_output(call.id, [Chunk(0, 1, b"x")])
        store.append_event(1.0, "call_finished", "", call.id, {})
        store.append_audit(1.0, "call_ended", call.id, {})
    store.spool.append(over[0].id, [Chunk(0, 1, b"x")])
    keep = Retention(calls=5, events=7, audit=3)
    while store.prune(keep, now=2000.0):
        pass
    assert [call.id for call in store.calls()] == [
        *(call.id for call in reversed(over[-5:])),
        oldest_open.id,
    ]
    assert not store.has_output(over[0].id)
    assert not store.spool.output_path(over[0].id).exists()
    assert [event.id for event in store.events(0)] == list(range(14, 21))
    assert store.append_event(1.0, "call_finished", "", "", {}).id == 21
    assert store.broken_audit_row() is None


def test_old_calls_and_large_outputs_are_forgotten_too(store: Store) -> None:
    old = make_call(CallState.FINISHED, ended_at=1000.0)
    large, fresh = (make_call(CallState.FINISHED, ended_at=99_000.0) for _ in range(2))
    for call in (old, large, fresh):
        store.insert_call(call)
        store.put_output(call.id, [Chunk(0, 1, bytes(1000))])
    while store.prune(Retention(age=50_000.0, output_bytes=1500), now=100_000.0):
        pass
    assert {call.id for call in store.calls()} == {large.id, fresh.id}
    assert not store.has_output(large.id)
    assert store.has_output(fresh.id)


def test_a_file_that_no_call_needs_is_removed(store: Store) -> None:
    known, unknown = make_call(), make_call()
    store.insert_call(known)
    for call in (known, unknown):
        store.spool.append(call.id, [Chunk(0, 1, b"x")])
    assert store.remove_strays() == 1
    assert store.spool.ids() == {known.id}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET body = '{\"changed\":true}' WHERE id = 2",
        "UPDATE audit SET at = 5.0 WHERE id = 2",
        "DELETE FROM audit WHERE id = 2",
        "UPDATE audit SET kind = 'other', hash = 'aa' WHERE id = 2",
    ],
)
def test_a_change_in_the_middle_of_the_audit_trail_is_found(store: Store, change: str) -> None:
    for number in range(4):
        store.append_audit(1.0, "call_sent", "", {"number": number})
    assert store.broken_audit_row() is None
    store._connection.execute(change)
    assert store.broken_audit_row() in (2, 3)
