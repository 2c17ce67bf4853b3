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


def measure(pids: list[int], memory_limit: int) -> dict[str, Any]:
    """Return the counters of some processes in the shape that container engines use."""
    ticks = memory = 0
    for pid in pids:
        try:
            fields = _stat(pid)
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))  # its own time and that of children that ended
        memory += int(fields[21]) * _PAGE
    return {
        "read": datetime.now(UTC).isoformat(),
        "cpu_stats": {"cpu_usage": {"total_usage": ticks * 1_000_000_000 // _TICKS}},
        "memory_stats": {"usage": memory, "limit": memory_limit},
        "pids_stats": {"current": len(pids)},
    }


def _stat(pid: int) -> list[str]:
    """Return the fields after the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
