"""A daemon with much to do: 200 sessions, 100,000 stored calls, 500 subscribers, many requests.

Times are printed and only loosely bounded: what else the machine does is not the daemon's fault.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.eventually import eventually_sync
from tests.faults import load
from tests.faults.failpoints import VARIABLE
from tests.faults.nursery import Nursery
from tests.faults.place import FAKE_HEAD, Place, new_place
from tests.figures import Figure

SESSIONS = 200
CALLS = 100_000
SUBSCRIBERS = 500
EVENTS = 60
PROFILE = """\
sessions = [{names}]
[interrupt_on]
execute = "ask"
ls = "allow"
"refuse*" = "deny"
"""


def many_sessions(place: Place, figure: Figure) -> None:
    """Start a daemon with all the sessions, and wait until each is ready."""
    names = ", ".join(f'"s{number}"' for number in range(SESSIONS))
    place.profile("many", PROFILE.format(names=names))
    began = time.monotonic()
    place.start()
    wait_until_ready(place)
    figure(f"{SESSIONS} sessions ready in {time.monotonic() - began:.1f} s")


def wait_until_ready(place: Place) -> None:
    """Wait for all sessions; asked now and then, as each answer lists them all."""
    deadline = time.monotonic() + 120
    while (found := load.states(place.client)) != {"ready": SESSIONS}:
        assert time.monotonic() < deadline, found
        time.sleep(0.25)


def restart_over_many_calls(place: Place, figure: Figure) -> None:
    """Kill the daemon, store many calls, start it, and measure until it serves and is well."""
    for _ in load.decide_many(place.client, "s0", 1):
        eventually_sync(lambda: not place.client.calls(open_only=True))
    place.kill()
    load.store_calls(place.state, CALLS)
    place.slowest = 0.0
    began = time.monotonic()
    life = place.start()
    spent = load.cpu_seconds(life.pid)
    wait_until_ready(place)
    figure(
        f"over {CALLS:,} calls and {SESSIONS} sessions: serving {place.slowest:.2f} s after its"
        f" fork ({spent:.2f} s of processor), all sessions taken up after"
        f" {time.monotonic() - began:.2f} s, memory {load.resident(life.pid) >> 20} MiB"
    )
    assert place.slowest < 10


def subscribe(place: Place, figure: Figure) -> None:
    """Show every event to all who read, however many do and whoever does not."""
    socket = place.client.socket_path
    subscribers = load.Subscribers(socket, SUBSCRIBERS)
    try:
        eventually_sync(lambda: f"deepd_event_followers {SUBSCRIBERS}" in place.client.metrics())
        began = time.monotonic()
        for number in range(EVENTS // 2):  # received, denied
            place.client.submit("s1", "refuse", {"n": number})
        asking = time.monotonic() - began
        seen = subscribers.read(EVENTS, within=60)
    finally:
        subscribers.close()
    figure(
        f"{EVENTS} events to {SUBSCRIBERS - 1} readers, beside one that never reads: asked for in"
        f" {asking:.2f} s, seen by all {seen:.2f} s later"
    )
    eventually_sync(lambda: "deepd_event_followers 0" in place.client.metrics(), within=30)


def ask(place: Place, figure: Figure) -> None:
    """Answer what needs no engine."""
    answers, slowest = load.ask_many(place.client.socket_path, "/v1/health", seconds=2)
    figure(
        f"{answers / 2:,.0f} requests/s that need no engine, the slowest {slowest * 1000:.0f} ms"
    )
    assert answers / 2 > 100


def approve(place: Place, figure: Figure) -> None:
    """Acknowledge decisions, each durable by then."""
    took = load.decide_many(place.client, "s2", 200)
    middle, high = load.percentile(took, 0.5) * 1000, load.percentile(took, 0.99) * 1000
    figure(f"{len(took)} approvals acknowledged durably: p50 {middle:.2f} ms, p99 {high:.2f} ms")
    assert high < 1000


def test_two_hundred_sessions_and_five_hundred_subscribers_are_served(
    nursery: Nursery, figure: Figure
) -> None:
    with new_place(nursery, head=FAKE_HEAD) as place:
        del place.env[VARIABLE]
        many_sessions(place, figure)
        restart_over_many_calls(place, figure)
        approve(place, figure)
        ask(place, figure)
        subscribe(place, figure)
        assert place.life is not None
        place.life.end(signal.SIGKILL)


def soak(nursery: Nursery, seconds: float) -> str:
    """Use a daemon for so long, and compare its memory and descriptors with those at the start."""
    with new_place(nursery) as place:
        del place.env[VARIABLE]
        place.profile("hello", '[interrupt_on]\nexecute = "allow"\nwrite_file = "ask"\n')
        life = place.start()
        turns = _use(place, seconds / 3)  # what is loaded and kept once is loaded and kept by then
        memory, opened = load.resident(life.pid), load.descriptors(life.pid)
        turns += _use(place, seconds * 2 / 3)
        eventually_sync(lambda: load.descriptors(life.pid) <= opened)
        grown = load.resident(life.pid) - memory
        assert grown < 24 << 20, f"grew by {grown >> 10} KiB in {turns} turns"
        return (
            f"{turns} turns in {seconds:.0f} s: memory {memory >> 20} MiB, grew by"
            f" {grown >> 10} KiB; {opened} descriptors before, {load.descriptors(life.pid)} after"
        )


def _use(place: Place, seconds: float) -> int:
    client, turns, end = place.client, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        turns += 1
        assert client.exec("main", "seq 1 2000").exit_code == 0
        held = client.submit("main", "write_file", {"path": "a", "content": "x"}, background=True)
        shown = client.approval(held["id"])
        client.decide(held["id"], approve=turns % 2 == 0, fingerprint=shown["fingerprint"])
        client.call(held["id"], wait=20)
        assert b"".join(client.get_archive("main", "."))
        client.open_session(f"brief-{turns % 7}", "hello")
        client.close_session(f"brief-{turns % 7}", purge=True)
        list(client.events(0))
        client.cancel(client.exec("main", "sleep 60", background=True).call["id"])
    eventually_sync(lambda: not client.calls(open_only=True))
    return turns


def test_a_short_soak_leaks_neither_memory_nor_descriptors(
    nursery: Nursery, figure: Figure
) -> None:
    figure(soak(nursery, 6))


@pytest.mark.slow
def test_a_long_soak_leaks_neither_memory_nor_descriptors(nursery: Nursery, figure: Figure) -> None:
    figure(soak(nursery, float(os.environ.get("DEEPD_TEST_SOAK", "1800"))))
