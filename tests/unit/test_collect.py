"""The collector: which files it copies as they are, and what a follower sees of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepd.daemon.collect import Collector
from deepd.daemon.mask import Mask
from deepd.model.call import Chunk
from deepd.model.files import FilePart
from deepd.store.store import Store
from tests.unit.store_rows import make_call

DATA = os.urandom(300_000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path)
    yield store
    store.close()


@pytest.fixture
def part(tmp_path: Path) -> FilePart:
    (tmp_path / "file").write_bytes(DATA)
    return FilePart(os.open(tmp_path / "file", os.O_RDONLY), 0, len(DATA))


def collector(store: Store, *, keep: int = 1 << 20, secret: str = "") -> Collector:
    return Collector(store, make_call().id, keep, Mask([secret] if secret else []))


def test_only_what_is_kept_whole_and_unmasked_is_copied(store: Store, part: FilePart) -> None:
    assert collector(store).may_take(part)
    assert collector(store, keep=len(DATA)).may_take(part)
    assert not collector(store, keep=len(DATA) - 1).may_take(part)
    assert not collector(store, secret="hunter2").may_take(part)
    begun = collector(store)
    begun.take(Chunk(0, 1, b"before"))
    assert not begun.may_take(part)


async def test_who_follows_sees_a_copied_file(store: Store, part: FilePart) -> None:
    collecting = collector(store)
    following = collecting.follow(0)
    collecting.take(Chunk(0, 1, b"before"))
    assert (await anext(following)).data == b"before"
    collecting.flush()
    await collecting.take_file(part)
    collecting.end()
    rest = b"".join([chunk.data async for chunk in following])
    assert rest == DATA
    assert (collecting.received, collecting.kept) == (len(DATA) + 6, len(DATA) + 6)
