"""Events: numbers without gaps, snapshot then live, and nobody waits for a slow reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deepd.daemon.events import EventBus
from deepd.errors import GoneError, LimitError
from deepd.model.event import Dropped, Event
from deepd.store.retention import Retention
from deepd.store.store import Store
from tests.eventually import eventually


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path)
    yield store
    store.close()


@pytest.fixture
def bus(store: Store) -> EventBus:
    return EventBus(store)


async def take(events: AsyncIterator[Event | Dropped], count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        event = await asyncio.wait_for(anext(events), 30)
        assert isinstance(event, Event)
        found.append(event.id)
    return found


async def test_stored_events_come_first_then_live_ones_with_no_gap(bus: EventBus) -> None:
    for _ in range(1200):
        bus.publish("engine_up")
    events = bus.follow(100)
    seen = await take(events, 700)
    for _ in range(50):
        bus.publish("engine_down")
    seen += await take(events, 450)
    assert seen == list(range(101, 1251))
    waiting = asyncio.create_task(take(events, 1))
    await asyncio.sleep(0)
    bus.publish("engine_up", session="main", call="c", cause="x")
    assert await waiting == [1251]
    assert bus.since(1250)[0].data == {"cause": "x"}


async def test_following_from_now_leaves_out_what_was(bus: EventBus) -> None:
    bus.publish("engine_up")
    events = bus.follow()
    waiting = asyncio.create_task(take(events, 1))
    await asyncio.sleep(0)
    bus.publish("engine_down")
    assert await waiting == [2]


async def test_a_slow_reader_is_told_where_to_resume_and_loses_nothing(bus: EventBus) -> None:
    events = bus.follow(0)
    waiting = asyncio.create_task(take(events, 1))
    await eventually(lambda: bus._followers)
    for _ in range(5000):
        bus.publish("engine_up")
    seen = await waiting
    dropped = None
    async for event in events:
        if isinstance(event, Dropped):
            dropped = event
        else:
            seen.append(event.id)
    assert dropped is not None
    assert dropped.resume_after == seen[-1] < 5000
    again = bus.follow(dropped.resume_after)
    seen += await take(again, 5000 - len(seen))
    assert seen == list(range(1, 5001))


async def test_a_reader_that_went_away_is_forgotten(bus: EventBus) -> None:
    events = bus.follow(0)
    bus.publish("engine_up")
    assert await take(events, 1) == [1]
    waiting = asyncio.create_task(take(events, 1))
    await eventually(lambda: bus._followers)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert bus._followers == set()


def test_what_is_not_kept_any_more_is_gone(bus: EventBus, store: Store) -> None:
    for _ in range(20):
        bus.publish("engine_up")
    store.prune(Retention(events=5), now=0.0)
    assert [event.id for event in bus.since(15)] == [16, 17, 18, 19, 20]
    for after in (0, 14, 21):
        with pytest.raises(GoneError):
            bus.since(after)


def test_following_what_is_gone_says_so_at_once(bus: EventBus, store: Store) -> None:
    for _ in range(20):
        bus.publish("engine_up")
    store.prune(Retention(events=5), now=0.0)
    with pytest.raises(GoneError):
        bus.follow(3)


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    for round_ in range(3):
        store = Store.open(tmp_path)
        assert EventBus(store).publish("daemon_started").id == round_ + 1
        store.close()


def test_an_event_of_a_transaction_that_fails_was_never_seen(bus: EventBus, store: Store) -> None:
    def fail() -> None:
        with store.write():
            bus.publish("engine_up")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert bus.since(0) == []
    assert bus.publish("engine_down").id == 1


def test_on_a_full_disk_events_wait_and_are_written_in_order_afterwards(
    bus: EventBus, store: Store
) -> None:
    execute = store._connection.execute
    bus.publish("daemon_started")
    (pages,) = execute("PRAGMA page_count").fetchone()
    execute(f"PRAGMA max_page_count = {pages}")
    while bus.publish("engine_up", cause="x" * 500).id:
        pass
    written = bus.last()
    for number in range(5):
        assert bus.publish("engine_down", cause=str(number) + "x" * 500).id == 0
    with pytest.raises(LimitError), store.write():
        bus.publish("engine_up", cause="x" * 9000)
    execute("PRAGMA max_page_count = 1000000")
    last = bus.publish("daemon_stopped")
    kinds = [event.kind for event in bus.since(written)]
    assert kinds == ["engine_up", *["engine_down"] * 5, "daemon_stopped"]
    assert last.id == written + 7
