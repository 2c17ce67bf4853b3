"""A crash after every step of the store, the engine and the guest's stream, in every state."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.crashes import Round, die_in
from tests.faults.deeds import DEEDS, Deed
from tests.faults.nursery import Nursery
from tests.faults.place import new_place
from tests.figures import Figure

STATES = {"held", "approved", "sent", "running"}
"""States in which a call survives the daemon; `admitted` is never stored without `sent`."""


def die_everywhere(nursery: Nursery, *, rounds: int = 1) -> str:
    """Die at every point of every deed, in two places at a time, and return the figures."""
    began = time.monotonic()
    halves = (DEEDS[::2], DEEDS[1::2])
    with ThreadPoolExecutor(len(halves)) as pool:
        done = list(pool.map(lambda deeds: _die_in_one_place(nursery, deeds, rounds), halves))
    died, states = Counter[str](), Counter[str]()
    for turn, _ in done:
        died += turn.died
        states += turn.states
    assert set(states) >= STATES, states
    layers = Counter(point.split(".")[0] for point in died.elements())
    return (
        f"{died.total()} crashes at {len(died)} points ({dict(layers)}) in {len(DEEDS)} deeds, "
        f"{sum(len(turn.passed) for turn, _ in done)} points not met again; calls were then "
        f"{dict(states)}; {' and '.join(text for _, text in done)}: nothing unapproved, doubled or "
        f"lost; slowest start {max(turn.place.slowest for turn, _ in done):.2f} s; "
        f"{time.monotonic() - began:.0f} s"
    )


def _die_in_one_place(nursery: Nursery, deeds: Sequence[Deed], rounds: int) -> tuple[Round, str]:
    with new_place(nursery) as place:
        return die_in(place, deeds, rounds=rounds)


def test_a_crash_after_any_step_in_any_state_loses_and_doubles_nothing(
    nursery: Nursery, figure: Figure
) -> None:
    figure(die_everywhere(nursery))


@pytest.mark.slow
def test_many_crashes_after_any_step_lose_and_double_nothing(
    nursery: Nursery, figure: Figure
) -> None:
    figure(die_everywhere(nursery, rounds=10))
