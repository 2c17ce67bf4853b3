"""Backtest: what a changed profile would have said to every call that is stored."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from deepd.daemon.history import Told, history
from deepd.model.ids import ProfileName
from deepd.model.profile import Answer, Profile
from deepd.policy.history import Change, Replayed, replay
from deepd.store.store import Store

MOST_SHOWN = 100
"""Calls of each kind that are listed; all are counted."""
_AT_ONCE = 20
"""Decisions between two looks at what else the daemon has to do: a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A call that would go another way now."""

    call: Told
    change: Change
    answer: Answer
    rule: str
    """Which rule says so now, with its place."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """All stored calls of a profile, decided by another version of it."""

    profile: ProfileName
    """Of whose calls."""
    file: str
    since: float
    looked_at: int
    same: int
    passes: int
    """How many would pass alone now that did not."""
    held: int
    """How many would be held now that were not."""
    denied: int
    reversed_count: int
    reversed: tuple[Difference, ...]
    """Calls that a person refused and that would now pass without one."""
    differences: tuple[Difference, ...]
    """Some of each kind, the newest first."""


async def backtest(store: Store, profile: Profile, of: ProfileName, since: float) -> Backtest:
    """Replay the stored calls of a profile; the daemon's loop goes on meanwhile."""
    counts: Counter[Change] = Counter()
    shown: dict[Change, list[Difference]] = {"passes": [], "held": [], "denied": []}
    reversed_: list[Difference] = []
    for page in history(store, profile=of, since=since, limit=1_000_000):
        for number, told in enumerate(page):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            found = replay(profile, told.tool, told.args, told.past)
            counts[found.change] += 1
            if found.change == "same":
                continue
            difference = _difference(told, found)
            if len(shown[found.change]) < MOST_SHOWN:
                shown[found.change].append(difference)
            if found.is_reversed:
                reversed_.append(difference)
    return Backtest(
        profile=of,
        file=str(profile.file),
        since=since,
        looked_at=sum(counts.values()),
        same=counts["same"],
        passes=counts["passes"],
        held=counts["held"],
        denied=counts["denied"],
        reversed_count=len(reversed_),
        reversed=tuple(reversed_[:MOST_SHOWN]),
        differences=tuple(each for some in shown.values() for each in some),
    )


def _difference(told: Told, found: Replayed) -> Difference:
    return Difference(told, found.change, found.verdict.answer, str(found.verdict))
