"""The engine's socket delays, cuts, repeats, garbles and stalls: each call still runs once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from deepd.client.sync import Client
from deepd.engine.endpoint import find_endpoint
from deepd.errors import DeepdError
from tests.eventually import eventually_sync
from tests.faults.deeds import (
    ASKED,
    HELLO,
    approve,
    approve_edited,
    cancel_held,
    deny,
    print_much,
    run,
    write_held,
)
from tests.faults.engine_proxy import EngineProxy, Kind, Where
from tests.faults.history import History, problems_of
from tests.faults.killing import Load
from tests.faults.nursery import Nursery
from tests.faults.place import DOCKER_HEAD, Place, new_place
from tests.figures import Figure

pytestmark = pytest.mark.docker

FAULTS: tuple[tuple[Kind, Where], ...] = (
    *(("delay", "control"), ("stall", "control"), ("cut", "control"), ("half-close", "control")),
    *(("delay", "stream"), ("stall", "stream"), ("cut", "stream"), ("half-close", "stream")),
    *(("duplicate", "stream"), ("garble", "stream")),
)
DEEDS = (run, approve, approve_edited, deny, cancel_held, print_much, write_held)


@contextmanager
def behind_a_proxy(nursery: Nursery) -> Iterator[tuple[Place, EngineProxy]]:
    """A daemon whose engine is reached through the proxy, with its two sessions ready."""
    endpoint = find_endpoint()
    if not endpoint.path:
        pytest.skip(f"the engine at {endpoint.url} has no socket to be put behind a proxy")
    with (
        TemporaryDirectory(prefix="deepd-proxy-") as folder,
        new_place(nursery, head=DOCKER_HEAD) as place,
    ):
        proxy = EngineProxy(endpoint.path, Path(folder) / "engine.sock")
        proxy.start()
        place.env |= {"DOCKER_HOST": proxy.host, "DEEPD_ENGINE_TIMEOUT": "3"}
        place.state.mkdir(mode=0o700)
        (place.state / "lanes").touch()  # in the way of lanes, which would pass the proxy by
        place.profile("hello", HELLO)
        place.profile("asked", ASKED)
        place.start()
        wait_until_well(place)
        try:
            yield place, proxy
        finally:
            place.kill()
            proxy.close()


def wait_until_well(place: Place) -> None:
    eventually_sync(
        lambda: (
            {session["state"] for session in place.client.sessions()} <= {"ready", "busy", "held"}
            and place.client.health()["status"] == "ok"
        ),
        within=60,
    )


def keep_the_engine_busy(place: Place, load: Load) -> None:
    """Ask for what only the engine can do; whether it can is not the point."""
    with Client(place.client.socket_path, timeout=30) as client:
        while not load.stopping.is_set():
            for ask in (
                partial(client.stats, "main"),
                partial(client.open_session, "brief", "hello"),
            ):
                with suppress(DeepdError, OSError):
                    ask()
            with suppress(DeepdError, OSError):
                client.close_session("brief")
            time.sleep(0.02)


def disturb(place: Place, proxy: EngineProxy, seconds: float, seed: int) -> str:
    """Go through all faults while clients work, check what ran, and return the figures."""
    dice = random.Random(seed)
    load = Load(place, seed, deeds=DEEDS)
    hit: Counter[str] = Counter()
    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(load.client, number) for number in range(2)]
        clients.append(pool.submit(keep_the_engine_busy, place, load))
        try:
            for kind, where in FAULTS:
                until, faults = time.monotonic() + seconds, proxy.faults
                while time.monotonic() < until:
                    proxy.set(kind, where)
                    time.sleep(dice.uniform(0.05, 0.4))
                    proxy.set("none", where)
                    time.sleep(dice.uniform(0.0, 0.2))
                hit[f"{kind} {where}"] = proxy.faults - faults
        finally:
            load.stopping.set()
            proxy.set("none", "control")
        for client in clients:
            client.result(120)
    eventually_sync(lambda: not place.client.calls(open_only=True), within=60)
    wait_until_well(place)
    place.end()
    history = History.read(place.state)
    marks = place.marks("main") + place.marks("asked")
    assert problems_of(history, marks, load.told) == []
    assert sum(pieces for name, pieces in hit.items() if name.endswith("stream")), hit
    states = Counter(str(call.state) for call in history.calls)
    assert set(states) <= {"finished", "denied", "cancelled"}, states
    return (
        f"{dict(hit)} disturbed pieces, {len(history.calls)} calls {dict(states)}, "
        f"{marks.total()} effects: nothing unapproved, doubled or lost"
    )


def test_a_bad_line_to_the_engine_loses_and_doubles_nothing(
    nursery: Nursery, figure: Figure
) -> None:
    with behind_a_proxy(nursery) as (place, proxy):
        figure(disturb(place, proxy, seconds=1.2, seed=1))


@pytest.mark.slow
def test_a_bad_line_to_the_engine_for_long_loses_and_doubles_nothing(
    nursery: Nursery, figure: Figure
) -> None:
    with behind_a_proxy(nursery) as (place, proxy):
        figure(disturb(place, proxy, seconds=60, seed=2))
