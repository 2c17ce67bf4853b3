"""Interleaved timing: A B A B, so that what the machine does meanwhile falls on both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any


def interleave(
    subjects: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    warm_up: int = 5,
    pause: float = 0.05,
    tidy: Callable[[], object] = lambda: None,
) -> list[dict[str, Any]]:
    """Time every subject once a round; ratios are the first one's median over each one's.

    The pause before each lets the engine end what it still does for the one before: it takes an
    exec down for some milliseconds after its answer, and that time is not the next one's. `tidy`
    is called after each, and its time is nobody's.

    Returns one row a subject with `what`, `median` and `p95` in milliseconds, `ratio`: how many
    times faster than the first subject it is, and `rounds`.
    """
    for _ in range(warm_up):
        for subject in subjects.values():
            subject()
            tidy()
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, subject in subjects.items():
            if pause:
                time.sleep(pause)
            begin = time.perf_counter()
            subject()
            times[name].append((time.perf_counter() - begin) * 1000)
            tidy()
    medians = {name: percentile(values, 0.5) for name, values in times.items()}
    base = next(iter(medians.values()))
    return [
        {
            "what": name,
            "median": medians[name],
            "p95": percentile(values, 0.95),
            "ratio": base / medians[name],
            "rounds": rounds,
        }
        for name, values in times.items()
    ]


def percentile(values: list[float], part: float) -> float:
    """Return the value below which that part of all values lies (nearest rank)."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
