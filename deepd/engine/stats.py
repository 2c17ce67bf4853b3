"""What a sandbox uses, from the engine's raw counters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deepd.errors import EngineError
from deepd.model.sandbox import SandboxStats


@dataclass(frozen=True, slots=True)
class CpuSample:
    """A container's total of cpu time, and when it was read."""

    at: float
    """Seconds since the epoch, by the engine's clock."""
    used: float
    """Seconds of cpu since the container's start."""


def read_stats(raw: Mapping[str, Any], before: CpuSample | None) -> tuple[SandboxStats, CpuSample]:
    """Return the stats and the sample to hand in next time; without one before, cpu is 0."""
    memory = raw.get("memory_stats") or {}
    if "usage" not in memory and not (raw.get("pids_stats") or {}).get("current"):
        raise EngineError("the sandbox is not running: there is nothing to measure")
    used = (raw.get("cpu_stats") or {}).get("cpu_usage", {}).get("total_usage", 0) / 1e9
    sample = CpuSample(datetime.fromisoformat(raw["read"]).timestamp(), used)
    stats = SandboxStats(
        cpu=_cores(before, sample),
        memory=_memory(memory),
        memory_limit=int(memory.get("limit", 0)),
        pids=int((raw.get("pids_stats") or {}).get("current", 0)),
    )
    return stats, sample


def _cores(before: CpuSample | None, sample: CpuSample) -> float:
    if before is None or sample.at <= before.at or sample.used < before.used:
        return 0.0
    return (sample.used - before.used) / (sample.at - before.at)


def _memory(memory: Mapping[str, Any]) -> int:
    """Return the memory without the page cache that the kernel can drop at once."""
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return max(0, int(memory.get("usage", 0)) - int(cache))
