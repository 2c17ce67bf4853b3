"""The kill loop: kill -9 of daemons at random moments while clients ask, decide and cancel."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

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
from tests.faults.place import Place

SHARED = (
    *(run, approve, approve_edited, deny, expire, cancel_held, cancel_running),
    *(print_much, time_out, write_held, ask_for_foreign, be_denied),
)
"""Deeds that do not get into each other's way."""
CLIENTS = 3


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


def kill_loop(place: Place, kills: int, seed: int, *, pause: float = 0.06) -> str:
    """Kill the daemon so many times under load, check what ran, and return the figures.

    `pause` is the longest time that most daemons have.
    """
    began = time.monotonic()
    dice = random.Random(seed)
    place.profile("hello", HELLO)
    place.profile("asked", ASKED)
    place.start()
    for session in ("main", "asked"):
        place.ready(session)  # an engine that takes a second to make one would never get there
    load = Load(place, seed)
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(load.client, number) for number in range(CLIENTS)]
        try:
            for _ in range(kills):
                # Mostly at once, so that work is cut short; now and then some of it gets done.
                time.sleep(dice.uniform(0.0, 0.5 if dice.random() < 0.1 else pause))
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


def _raise_first(clients: Sequence[Future[None]], place: Place) -> None:
    for client in clients:
        if client.done():
            print(place.log()[-4000:])
            client.result()
