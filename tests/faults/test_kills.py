"""kill -9 of the daemon at random moments, hundreds of times, while clients ask and decide.

Sandboxes are plain processes and daemons are forked, so one kill takes a fifth of a second;
`test_kill_loop.py` does the same to the installed command and containers, with fewer kills.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from deepd.client.sync import Client
from tests.faults.deeds import (
    ASKED,
    HELLO,
    Deed,
    Persistent,
    approve,
    approve_edited,
    ask_for_foreign,
    be_denied,
    cancel_held,
    cancel_running,
    deny,
    expire,
    print_much,
    run,
    time_out,
    write_held,
)
from tests.faults.history import History, Told, problems_of
from tests.faults.nursery import Nursery
from tests.faults.place import Place, new_place
from tests.figures import Figure

SHARED = (
    *(run, approve, approve_edited, deny, expire, cancel_held, cancel_running),
    *(print_much, time_out, write_held, ask_for_foreign, be_denied),
)
"""Deeds that do not get into each other's way."""
CLIENTS = 3
ROUND = 500
"""Kills over one store, whose calls must all still be there when they are checked."""


class Load:
    """Clients that do one deed after the other until the end."""

    def __init__(self, place: Place, seed: int, deeds: tuple[Deed, ...] = SHARED) -> None:
        self._deeds = deeds
        self.told = Told()
        self.done: Counter[str] = Counter()
        self.stopping = threading.Event()
        self._place = place
        self._seed = seed

    def client(self, number: int) -> None:
        """Be one of them."""
        dice = random.Random(f"{self._seed} {number}")
        socket = self._place.client.socket_path
        with Client(socket, name=f"load-{number}", timeout=30) as client:
            who = Persistent(client, lambda: time.sleep(0.01), self.told)
            turn = 0
            while not self.stopping.is_set():
                turn += 1
                deed = dice.choice(self._deeds)
                deed(who, self._place, f"mark-{number}.{turn}")
                self.done[deed.__name__] += 1


def kill_loop(place: Place, kills: int, seed: int) -> str:
    """Kill the daemon so many times under load, check what ran, and return the figures."""
    began = time.monotonic()
    dice = random.Random(seed)
    place.profile("hello", HELLO)
    place.profile("asked", ASKED)
    place.start()
    load = Load(place, seed)
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(load.client, number) for number in range(CLIENTS)]
        try:
            for _ in range(kills):
                # Mostly at once, so that work is cut short; now and then some of it gets done.
                time.sleep(dice.uniform(0.0, 0.5 if dice.random() < 0.1 else 0.06))
                place.kill()
                place.start()
                _raise_first(clients, place)
        finally:
            load.stopping.set()
            place.start()
        for client in clients:
            client.result(90)
    assert place.client.calls(open_only=True) == []
    place.end()
    history = History.read(place.state)
    marks = place.marks("main") + place.marks("asked")
    assert problems_of(history, marks, load.told) == []
    states = Counter(str(call.state) for call in history.calls)
    assert "lost" not in states, "no container went away, so nothing may be lost"
    return (
        f"{kills} kills under {CLIENTS} clients, {load.done.total()} deeds in "
        f"{len(load.done)} kinds, {len(history.calls)} calls {dict(states)}, "
        f"{len(history.approvals)} approvals, {sum(marks.values())} effects: nothing unapproved, "
        f"doubled or lost; slowest start {place.slowest:.2f} s; {time.monotonic() - began:.0f} s"
    )


def _raise_first(clients: list, place: Place) -> None:  # type: ignore[type-arg]
    for client in clients:
        if client.done():
            print(place.log()[-4000:])
            client.result()


def test_a_daemon_killed_three_hundred_times_runs_each_call_as_decided_and_once(
    nursery: Nursery, figure: Figure
) -> None:
    with new_place(nursery) as place:
        figure(kill_loop(place, kills=300, seed=1))


@pytest.mark.slow
def test_a_daemon_killed_ten_thousand_times_runs_each_call_as_decided_and_once(
    nursery: Nursery, figure: Figure
) -> None:
    wanted, done = int(os.environ.get("DEEPD_TEST_KILLS", "10000")), 0
    while done < wanted:
        kills = min(ROUND, wanted - done)
        with new_place(nursery) as place:
            told = kill_loop(place, kills, seed=2 + done)
        figure(told)
        done += kills
        print(f"{done}/{wanted}: {told}", flush=True)  # seen with -s, as it goes
