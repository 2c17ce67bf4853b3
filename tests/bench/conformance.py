"""pydantic-ai's own suite for workspaces over a daemon and a real engine, as a whole process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.timing import interleave

ROOT = Path(__file__).parents[2]
_SUITE = "tests/agent/test_workspace_conformance.py"
_PAIRS_FOR_A_ROUND = 20
"""A round takes seconds, not milliseconds."""


def measure(pairs: int) -> list[dict[str, Any]]:
    """Return the time of the suite, daemon and sandboxes included, and of its imports alone."""
    ended = _pytest()
    passed = re.search(r"(\d+) passed", ended)
    assert passed is not None, ended
    assert not re.search(r"\d+ (skipped|failed|error)", ended), ended
    subjects = {
        f"the suite, {passed[1]} passed, 0 skipped": _pytest,
        "of it, before the first test": lambda: _pytest("--collect-only"),
    }
    rounds = max(1, pairs // _PAIRS_FOR_A_ROUND)
    return interleave(subjects, rounds, warm_up=0)


def _pytest(*options: str) -> str:
    """Run the suite in a process of its own and return what it printed last."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, _SUITE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip().rpartition("\n")[2]
