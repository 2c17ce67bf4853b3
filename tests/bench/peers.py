"""deepd beside its peers: the same works on the same engine and image, interleaved in one run."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.environment import peers_python
from tests.bench.goals import judge
from tests.bench.subject import Subject, UnableError
from tests.bench.subjects.works import WORKS, Work
from tests.bench.table import render
from tests.bench.timing import percentile
from tests.images import PYTHON

SUBJECTS = {
    "deepd": "with_deepd",
    "docker-py": "docker_py",
    "sandboxd": "sandboxd",
    "DockerWorkspace": "docker_workspace",
    "harness": "harness",
    "llm-sandbox": "llm_sandbox_session",
    "swe-rex": "swe_rex",
    "host": "host",
}
"""By the name that the table has; deepd and the host run in this environment."""
_OURS = ("deepd", "host")
_BUDGET = 20.0
"""Seconds after which a subject does a work no more often than is needed for a median."""
_LEAST = 3


def measure(
    pairs: int, only: Collection[str] = (), subjects: Collection[str] = ()
) -> dict[str, Any]:
    """Return the figures of every subject and work, and which goals they reach.

    `only` names works and `subjects` subjects; without them it is all.
    """
    chosen = {name: work for name, work in WORKS.items() if not only or name in only}
    names = [name for name in SUBJECTS if not subjects or name in subjects]
    with tempfile.NamedTemporaryFile(prefix="deepd-bench-", suffix=".log", delete=False) as log:
        path = Path(log.name)
    load = os.getloadavg()[0]
    with _started(names, path) as (running, unable):
        rows = [row for name, work in chosen.items() for row in _rows(name, work, running, pairs)]
        versions = {subject.name: subject.version for subject in running.values()}
    return {
        "image": PYTHON,
        "cpus": os.cpu_count(),
        "load": [load, os.getloadavg()[0]],
        "versions": versions,
        "unable": unable,
        "rows": rows,
        "goals": judge(rows),
    }


def show(found: dict[str, Any]) -> str:
    """Return the figures as a table for people."""
    return render(found, WORKS)


@contextmanager
def _started(
    names: Collection[str], log: Path
) -> Iterator[tuple[dict[str, Subject], dict[str, str]]]:
    running: dict[str, Subject] = {}
    unable: dict[str, str] = {}
    try:
        for name in names:
            python = sys.executable if name in _OURS else peers_python()
            try:
                running[name] = Subject(name, SUBJECTS[name], python, PYTHON, log)
            except UnableError as error:
                unable[name] = str(error)
        yield running, unable
    finally:
        for subject in running.values():
            subject.close()


def _rows(
    name: str, work: Work, running: Mapping[str, Subject], pairs: int
) -> list[dict[str, Any]]:
    print(f"{name} …", file=sys.stderr)
    rounds = max(_LEAST, round(pairs * work.rounds))
    doing = {who: each for who, each in running.items() if who in (work.subjects or running)}
    values: dict[str, list[float]] = {}
    spent = dict.fromkeys(doing, 0.0)
    reasons: dict[str, str] = {}
    for turn in range(-1, rounds):
        for who, subject in doing.items():
            is_enough = len(values.get(who, ())) >= _LEAST and spent[who] > _BUDGET
            if who in reasons or is_enough:
                continue
            time.sleep(work.pause)
            try:
                value, whole = subject.do(name)
            except UnableError as error:
                reasons[who] = str(error)
                continue
            spent[who] += whole
            # The first time makes what the work needs, and is not counted.
            if turn >= 0 or whole > _BUDGET:
                values.setdefault(who, []).append(value)
    rows = [_row(name, who, measured) for who, measured in values.items() if who not in reasons]
    shown = [who for who, why in reasons.items() if "no such operation" not in why]
    return rows + [{"work": name, "subject": who, "unable": reasons[who]} for who in shown]


def _row(work: str, who: str, values: list[float]) -> dict[str, Any]:
    return {
        "work": work,
        "subject": who,
        "n": len(values),
        "median": percentile(values, 0.5),
        "p95": percentile(values, 0.95),
    }
