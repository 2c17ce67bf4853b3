"""Numbers: what the daemon counts of itself, for `/metrics`; nobody is asked for any of it."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from deepd import __version__
from deepd.daemon.events import EventBus
from deepd.model.metric import Metric, single
from deepd.store.store import Store

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Numbers:
    """Counters since the start of this daemon; those of the store are of all its daemons."""

    def __init__(self, store: Store, events: EventBus, started_at: float) -> None:
        self._store = store
        self._events = events
        self._started_at = started_at

    def read(self) -> Sequence[Metric]:
        """Return all of them as they are now."""
        return (*self._process(), *self._told(), *self._stored())

    def _process(self) -> Sequence[Metric]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return (
            Metric("deepd_build_info", "gauge", "The version", {__version__: 1}, label="version"),
            single("process_start_time_seconds", "gauge", "Start of the daemon", self._started_at),
            single(
                "process_cpu_seconds_total",
                "counter",
                "Processor time of the daemon",
                usage.ru_utime + usage.ru_stime,
            ),
            single("process_resident_memory_bytes", "gauge", "Memory of the daemon", _resident()),
            single("process_open_fds", "gauge", "Open descriptors of the daemon", _open_fds()),
            single(
                "process_max_fds",
                "gauge",
                "Most open descriptors that it may have",
                resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            ),
        )

    def _told(self) -> Sequence[Metric]:
        seen = self._events.seen
        return (
            Metric(
                "deepd_calls_ended_total",
                "counter",
                "Calls that ended since the start, by how",
                _of(seen, "call_finished", "call_denied"),
            ),
            Metric(
                "deepd_approvals_decided_total",
                "counter",
                "Approvals that ended since the start, by how",
                _of(seen, "approval_decided"),
            ),
            single(
                "deepd_approvals_asked_total",
                "counter",
                "Calls that were held since the start",
                sum(_of(seen, "approval_asked").values()),
            ),
            Metric(
                "deepd_events_since_start_total",
                "counter",
                "Events since the start, by kind",
                _kinds(seen),
                label="kind",
            ),
            single(
                "deepd_event_followers", "gauge", "Readers of events now", self._events.followers
            ),
            single(
                "deepd_event_followers_dropped_total",
                "counter",
                "Readers that were too slow and were told to resume by number",
                self._events.dropped,
            ),
        )

    def _stored(self) -> Sequence[Metric]:
        store = self._store
        return (
            single("deepd_store_bytes", "gauge", "Size of the database with its log", store.size()),
            single(
                "deepd_store_commits_total",
                "counter",
                "Transactions since the start",
                store.commits,
            ),
            single(
                "deepd_store_durable_commits_total",
                "counter",
                "Transactions that wait for the disk: decisions and held calls",
                store.durable_commits,
            ),
            single(
                "deepd_store_durable_commit_seconds_total",
                "counter",
                "Time that these took",
                store.durable_seconds,
            ),
            single(
                "deepd_store_refusals_total",
                "counter",
                "Transactions that the disk had no room for, or that failed otherwise",
                store.refusals,
            ),
            single(
                "deepd_audit_rows", "gauge", "Number of the newest audit row", store.audit_head()
            ),
        )


def _of(seen: Mapping[tuple[str, str], int], *kinds: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for (kind, state), count in seen.items():
        if kind in kinds:
            found[state] = found.get(state, 0) + count
    return found


def _kinds(seen: Mapping[tuple[str, str], int]) -> dict[str, float]:
    found: dict[str, float] = {}
    for (kind, _), count in seen.items():
        found[kind] = found.get(kind, 0) + count
    return found


def _resident() -> int:
    with suppress(OSError, IndexError, ValueError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _open_fds() -> int:
    with suppress(OSError):
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough
    return 0
