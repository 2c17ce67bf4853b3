"""Prometheus' text format of what the daemon knows without asking anybody: see METRICS.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from deepd.model.metric import Metric, single
from deepd.server.services import Services


def render_metrics(services: Services) -> str:
    """Return all metrics; label values are states and kinds, a small fixed set of words."""
    return "".join(map(_render, (*_now(services), *services.numbers())))


def _now(services: Services) -> Iterator[Metric]:
    open_calls = services.calls.list(open_only=True, limit=10_000)
    is_up = services.engine().get("state", "up") == "up"
    yield single("deepd_engine_up", "gauge", "Whether the engine answers", is_up)
    yield _by_state("deepd_sessions", "Sessions", [view.state for view in services.sessions.list()])
    yield _by_state("deepd_open_calls", "Calls that have not ended", [c.state for c in open_calls])
    states = [str(state.state) for state in services.profiles.states()]
    yield _by_state("deepd_profiles", "Profiles", states)
    pending = len(services.approvals.list("pending"))
    yield single("deepd_approvals_pending", "gauge", "Calls that wait for a decision", pending)
    yield single("deepd_events_total", "counter", "Events of all time", services.events.last())


def _by_state(name: str, about: str, states: list[str]) -> Metric:
    return Metric(name, "gauge", f"{about}, by state", Counter(map(str, states)))


def _render(metric: Metric) -> str:
    lines = [f"# HELP {metric.name} {metric.about}.", f"# TYPE {metric.name} {metric.kind}"]
    lines += _samples(metric.name, metric.label, metric.samples)
    return "\n".join(lines) + "\n"


def _samples(name: str, label: str, samples: Mapping[str, float]) -> Iterator[str]:
    for value, number in sorted(samples.items()):
        labels = f'{{{label}="{_escape(value)}"}}' if value else ""
        yield f"{name}{labels} {_number(number)}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
