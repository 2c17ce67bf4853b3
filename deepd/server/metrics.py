"""Prometheus' text format, of what the daemon knows without asking anybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from deepd.server.services import Services

Samples = Iterable[tuple[str, float]]


def render_metrics(services: Services) -> str:
    """Return all metrics; label values are states, a small fixed set of words."""
    sessions = Counter(view.state for view in services.sessions.list())
    open_calls = services.calls.list(open_only=True, limit=10_000)
    calls = Counter(call.state.value for call in open_calls)
    profiles = Counter(str(state.state) for state in services.profiles.states())
    is_up = services.engine().get("state", "up") == "up"
    return "".join(
        (
            _metric("deepd_engine_up", "gauge", "Whether the engine answers", [("", is_up)]),
            _metric("deepd_sessions", "gauge", "Sessions by state", _labels(sessions)),
            _metric("deepd_open_calls", "gauge", "Calls that have not ended", _labels(calls)),
            _metric("deepd_profiles", "gauge", "Profiles by state", _labels(profiles)),
            _metric(
                "deepd_approvals_pending",
                "gauge",
                "Calls that wait for a decision",
                [("", len(services.approvals.list("pending")))],
            ),
            _metric(
                "deepd_events_total", "counter", "Events so far", [("", services.events.last())]
            ),
        )
    )


def _labels(counts: Counter[str]) -> Samples:
    return [(f'{{state="{_escape(state)}"}}', count) for state, count in sorted(counts.items())]


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _metric(name: str, kind: str, about: str, samples: Samples) -> str:
    lines = [f"# HELP {name} {about}.", f"# TYPE {name} {kind}"]
    lines += [f"{name}{labels} {float(value):g}" for labels, value in samples]
    return "\n".join(lines) + "\n"
