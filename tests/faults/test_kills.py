"""kill -9 of the daemon at random moments, hundreds of times, while clients ask and decide.

Sandboxes are plain processes and daemons are forked, so one kill takes a fifth of a second;
`test_every_engine.py` does the same to every engine's sandboxes and `test_kill_loop.py` to the
installed command and containers, with fewer kills.
"""

from __future__ import annotations

import os

import pytest

from tests.faults.killing import kill_loop
from tests.faults.nursery import Nursery
from tests.faults.place import new_place
from tests.figures import Figure

ROUND = 500
"""Kills over one store, whose calls must all still be there when they are checked."""


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
