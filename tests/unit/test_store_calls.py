"""Calls in the store: each step happens once, and a transaction is all or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deepd.errors import ConflictError, LimitError
from deepd.model.approval import Approved, Denied
from deepd.model.body import Body
from deepd.model.call import OPEN, CallState, Chunk
from deepd.model.files import FilePart
from deepd.model.ids import CallId
from deepd.model.session import Session
from deepd.store.store import Store
from tests.unit.store_rows import SESSION, make_approval, make_call


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path)
    yield store
    store.close()


def test_a_call_comes_back_as_it_was_stored(store: Store) -> None:
    call = make_call(args={"command": "echo \udcff \u202e", "env": {"A": "1"}}, body_size=3)
    store.insert_call(call)
    assert store.call(call.id) == call


def test_of_two_moves_from_one_state_only_the_first_happens(store: Store) -> None:
    call = make_call()
    store.insert_call(call)
    assert store.move(call.id, CallState.ADMITTED, CallState.SENT, container="c1")
    assert not store.move(call.id, CallState.ADMITTED, CallState.CANCELLED, reason="late")
    stored = store.call(call.id)
    assert stored is not None
    assert (stored.state, stored.container, stored.reason) == (CallState.SENT, "c1", "")


def test_a_move_that_no_call_makes_is_a_bug(store: Store) -> None:
    call = make_call(CallState.FINISHED)
    store.insert_call(call)
    with pytest.raises(ValueError, match="never goes"):
        store.move(call.id, CallState.FINISHED, CallState.SENT)


def test_a_key_is_used_once_in_a_session_and_freely_when_empty(store: Store) -> None:
    first = make_call(idempotency_key="k")
    store.insert_call(first)
    with pytest.raises(ConflictError):
        store.insert_call(make_call(idempotency_key="k"))
    store.insert_call(make_call())
    store.insert_call(make_call())
    assert store.call_by_key(SESSION, "k") == first
    assert store.call_by_key(SESSION, "") is None


def test_a_prefix_finds_one_call_or_says_that_there_are_more(store: Store) -> None:
    for digits in ("aa01", "aa02", "bb01"):
        store.insert_call(make_call(id=CallId(digits + "0" * 28)))
    assert len(store.find_calls("aa0")) == 2
    assert [call.id[:4] for call in store.find_calls("bb")] == ["bb01"]
    assert store.find_calls("cc") == []


def test_open_calls_are_listed_newest_first_and_of_one_session(store: Store) -> None:
    first, second = make_call(), make_call(CallState.HELD)
    over = make_call(CallState.FINISHED, ended_at=1.0)
    other = make_call(session="other")
    for call in (first, second, over, other):
        store.insert_call(call)
    assert store.calls(SESSION, OPEN) == [second, first]
    assert len(store.calls(limit=2)) == 2


def test_what_a_raising_transaction_wrote_is_gone_and_its_numbers_are_used_again(
    store: Store,
) -> None:
    store.append_event(1.0, "daemon_started", "", "", {})
    store.append_audit(1.0, "call_sent", "", {})
    call = make_call()
    seen: list[int] = []

    def fail_in_the_middle() -> None:
        with store.write():
            store.insert_call(call)
            store.append_event(2.0, "call_received", "", "", {})
            store.append_audit(2.0, "call_sent", "", {})
            store.after_commit(lambda: seen.append(1))
            raise KeyError

    with pytest.raises(KeyError):
        fail_in_the_middle()
    assert store.call(call.id) is None
    assert seen == []
    assert store.append_event(3.0, "call_received", "", "", {}).id == 2
    store.append_audit(3.0, "call_sent", "", {})
    assert store.broken_audit_row() is None


def test_a_durable_write_cannot_hide_in_one_that_is_not(store: Store) -> None:
    with pytest.raises(RuntimeError), store.write(), store.write(durable=True):
        pass
    with store.write(durable=True), store.write():
        store.insert_call(make_call())
    assert len(store.calls()) == 1


def test_the_first_decision_stands_and_moves_the_call_with_it(store: Store) -> None:
    call = make_call(CallState.HELD)
    approval = make_approval(call.id)
    store.insert_call(call)
    store.insert_approval(approval)
    edited = {"command": "ls"}
    assert store.decide(approval, Approved(edited), by="uid 1", at=5.0, args=edited)
    assert not store.decide(approval, Denied("no"), by="uid 2", at=6.0)
    stored, decided = store.call(call.id), store.approval(call.id)
    assert stored is not None
    assert decided is not None
    assert (stored.state, stored.args) == (CallState.APPROVED, edited)
    assert (decided.state, decided.decided_by, decided.args) == ("approved", "uid 1", call.args)
    assert decided.approved_args == edited


def test_a_decision_on_what_is_shown_no_more_changes_nothing(store: Store) -> None:
    call = make_call(CallState.HELD)
    shown = make_approval(call.id)
    store.insert_call(call)
    store.insert_approval(replace(shown, fingerprint="0" * 64))
    assert not store.decide(shown, Approved(), by="uid 1", at=5.0, args=call.args)
    stored = store.call(call.id)
    assert stored is not None
    assert stored.state is CallState.HELD


def test_an_approval_whose_call_is_not_held_is_never_decided(store: Store) -> None:
    call = make_call(CallState.SENT)
    approval = make_approval(call.id)
    store.insert_call(call)
    store.insert_approval(approval)
    with pytest.raises(RuntimeError):
        store.decide(approval, Approved(), by="uid 1", at=5.0, args=call.args)
    pending = store.approval(call.id)
    assert pending is not None
    assert pending.state == "pending"


def test_output_and_bodies_are_kept_whatever_their_size(store: Store, tmp_path: Path) -> None:
    call = make_call()
    store.put_output(call.id, [Chunk(0, 1, b"\xff\x00"), Chunk(2, 2, b"err")])
    assert list(store.output(call.id)) == [Chunk(0, 1, b"\xff\x00"), Chunk(2, 2, b"err")]
    large = make_call()
    data = bytes(1 << 20)
    store.put_body(call.id, Body(5, "", b"small"), durable=True)
    store.put_body(large.id, Body(len(data), "", data), durable=True)
    received = tmp_path / "received"
    received.write_bytes(b"file")
    adopted = make_call()
    store.put_body(adopted.id, Body(4, "", path=received), durable=True)
    assert store.body(call.id) == b"small"
    for call_id, content in ((large.id, data), (adopted.id, b"file")):
        path = store.body(call_id)
        assert isinstance(path, Path)
        assert path.read_bytes() == content
        store.drop_body(call_id)
        assert store.body(call_id) is None
    assert not received.exists()


def test_half_a_record_at_the_end_of_the_spool_is_cut_off(store: Store) -> None:
    call = make_call()
    store.spool.append(call.id, [Chunk(0, 1, b"whole"), Chunk(5, 1, b"torn")])
    path = store.spool.output_path(call.id)
    path.write_bytes(path.read_bytes()[:-2])
    assert store.spool.mend(call.id) == 5
    store.spool.append(call.id, [Chunk(5, 1, b"again")])
    assert b"".join(chunk.data for chunk in store.spool.chunks(call.id)) == b"wholeagain"


def test_a_file_becomes_a_record_that_is_read_in_pieces_and_found_by_its_place(
    store: Store, tmp_path: Path
) -> None:
    call, data = make_call(), os.urandom(3 << 20)
    source = part_of(tmp_path, data, offset=10, size=2_500_000)
    store.spool.append(call.id, [Chunk(0, 1, b"first")])
    assert store.spool.append_file(call.id, 5, source) == source.size
    store.spool.append(call.id, [Chunk(2_500_005, 2, b"last")])
    chunks = list(store.spool.chunks(call.id))
    assert max(len(chunk.data) for chunk in chunks) <= 1 << 20
    assert b"".join(chunk.data for chunk in chunks) == b"first" + data[10:2_500_010] + b"last"
    assert [chunk.offset for chunk in chunks][:2] == [0, 5]
    first, copied, last = store.spool.extents(call.id)
    assert (first.length, copied.length, last.stream) == (5, 2_500_000, 2)
    raw = store.spool.output_path(call.id).read_bytes()
    assert raw[copied.at :][: copied.length] == data[10:2_500_010]
    assert store.spool.mend(call.id) == 2_500_009


def test_a_file_that_became_shorter_is_copied_as_it_is(store: Store, tmp_path: Path) -> None:
    call = make_call()
    source = part_of(tmp_path, b"short", offset=0, size=1000)
    assert store.spool.append_file(call.id, 0, source) == 5
    assert [chunk.data for chunk in store.spool.chunks(call.id)] == [b"short"]


def test_a_copy_that_was_not_finished_is_no_record_and_is_cut_off(store: Store) -> None:
    call = make_call()
    store.spool.append(call.id, [Chunk(0, 1, b"whole")])
    path = store.spool.output_path(call.id)
    path.write_bytes(path.read_bytes() + bytes(13) + b"copied so far")
    assert [chunk.data for chunk in store.spool.chunks(call.id)] == [b"whole"]
    assert store.spool.mend(call.id) == 5
    assert path.stat().st_size == 13 + 5


def test_a_file_that_cannot_be_copied_leaves_nothing(store: Store, tmp_path: Path) -> None:
    call = make_call()
    store.spool.append(call.id, [Chunk(0, 1, b"whole")])
    folder = FilePart(os.open(tmp_path, os.O_RDONLY), 0, 10)
    with pytest.raises(LimitError, match="cannot write"):
        store.spool.append_file(call.id, 5, folder)
    assert store.spool.output_path(call.id).stat().st_size == 13 + 5


def part_of(folder: Path, data: bytes, *, offset: int, size: int) -> FilePart:
    (folder / "source").write_bytes(data)
    return FilePart(os.open(folder / "source", os.O_RDONLY), offset, size)


def test_sessions_are_put_and_deleted(store: Store) -> None:
    session = Session(SESSION, make_call().profile, declared=True, created_at=1.5)
    store.put_session(session)
    store.put_session(replace(session, generation=4))
    assert store.sessions() == [replace(session, generation=4)]
    store.delete_session(SESSION)
    assert store.sessions() == []
