"""Processes of this machine, by /proc: a tree of them, how they do, and signals that reach all."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOKS = 10
"""At a tree whose processes come and go; a look takes under a millisecond."""


def process_tree(pid: int) -> list[int]:
    """Return a process and all below it, parents first."""
    found = [pid]
    for parent in found:
        with suppress(OSError):  # it may end at any moment
            for task in Path(f"/proc/{parent}/task").glob("*/children"):
                found += [int(child) for child in task.read_text().split()]
    return found


def signal_tree(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process and all below it."""
    for process in process_tree(pid):
        with suppress(ProcessLookupError):
            os.kill(process, number)


def process_state(pid: int) -> str:
    """Return the letter that the kernel gives for how a process does; empty when it is gone."""
    try:
        return _stat(pid)[0]
    except (OSError, IndexError):
        return ""


def measure(root: int, memory_limit: int) -> dict[str, Any]:
    """Return the counters of a process and all below it in the shape that container engines use."""
    for _ in range(_LOOKS):
        tree = process_tree(root)
        ticks, memory, is_whole = _add_up(tree)
        if is_whole:
            break
    return {
        "read": datetime.now(UTC).isoformat(),
        "cpu_stats": {"cpu_usage": {"total_usage": ticks * 1_000_000_000 // _TICKS}},
        "memory_stats": {"usage": memory, "limit": memory_limit},
        "pids_stats": {"current": len(tree)},
    }


def _add_up(tree: list[int]) -> tuple[int, int, bool]:
    """Return the ticks and bytes, and whether none of them was collected by its parent meanwhile.

    Its time went over to a parent that was read before it, and would count for nobody.
    """
    ticks = memory = 0
    is_whole = True
    for pid in tree:
        try:
            fields = _stat(pid)
        except OSError:
            is_whole = False
            continue
        ticks += sum(map(int, fields[11:15]))  # its own time and that of children that ended
        memory += int(fields[21]) * _PAGE
    return ticks, memory, is_whole


def _stat(pid: int) -> list[str]:
    """Return the fields after the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
