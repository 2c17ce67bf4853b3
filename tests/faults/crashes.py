"""Crashes: a daemon that is made to die at each point that a deed comes by, and what then holds."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.faults.deeds import ASKED, HELLO, Deed, Persistent
from tests.faults.failpoints import trace_of
from tests.faults.history import History, Told, problems_of
from tests.faults.place import Place

_SOON = 0.15
"""Seconds in which a daemon does what it puts off until nobody waits for it."""


class Round:
    """One daemon after another over one store, each made to die at one point."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.told = Told()
        self.who = Persistent(place.client, self._revive, self.told)
        self.died: Counter[str] = Counter()
        """How often a daemon died at each point."""
        self.states: Counter[str] = Counter()
        """States that calls were in when it died."""
        self.passed: list[str] = []
        self._number = 0

    def points(self, deed: Deed) -> list[str]:
        """Return the points that a deed comes by."""
        trace = trace_of(self.place.armed)
        self.place.start()
        before = trace.stat().st_size
        self.do(deed)
        with trace.open() as file:
            file.seek(before)
            return list(dict.fromkeys(file.read().split()))

    def die(self, deed: Deed, point: str) -> None:
        """Do a deed in which the daemon dies at a point, and see it through."""
        self.place.start()
        self.place.armed.write_text(point)
        self.do(deed)
        deadline = time.monotonic() + _SOON
        while self.place.armed.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        if self.place.armed.exists():
            self.place.armed.unlink(missing_ok=True)
            self.passed.append(f"{deed.__name__}: {point}")
        else:
            self.died[point] += 1

    def do(self, deed: Deed) -> None:
        self._number += 1
        try:
            deed(self.who, self.place, f"mark-{deed.__name__.replace('_', '-')}.{self._number}")
        except BaseException:
            print(f"in {deed.__name__}, died {self.died}; the log:\n{self.place.log()[-3000:]}")
            raise

    def _revive(self) -> None:
        life = self.place.life
        if life is not None and life.is_over(0.05):
            self.states.update(open_states(self.place.state))
        self.place.start()


def open_states(state: Path) -> list[str]:
    """Return the states of calls that a dead daemon left open, without a change to its store."""
    with tempfile.TemporaryDirectory() as folder:
        for file in state.glob("deepd.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder)
        with closing(sqlite3.connect(f"{folder}/deepd.db")) as database:
            rows = database.execute("SELECT state FROM calls WHERE ended_at IS NULL").fetchall()
    return [row[0] for row in rows]


def die_in(
    place: Place, deeds: Sequence[Deed], *, rounds: int = 1, points: Sequence[str] = ()
) -> tuple[Round, str]:
    """Die at these points of these deeds, or at every one, and check the history that it makes."""
    place.profile("hello", HELLO)
    place.profile("asked", ASKED)
    turn = Round(place)
    place.start()
    for deed in deeds:
        for point in points or turn.points(deed):
            for _ in range(rounds):
                turn.die(deed, point)
    assert place.client.calls(open_only=True) == []
    place.end()
    marks = place.marks("main") + place.marks("asked")
    history = History.read(place.state)
    # Its workspace is purged: the deed itself has looked at what was in it.
    purged = Counter(mark for mark in turn.told.taken if "open-and-purge" in mark)
    assert problems_of(history, marks + purged, turn.told) == []
    return turn, f"{len(history.calls)} calls and {sum(marks.values())} effects"
