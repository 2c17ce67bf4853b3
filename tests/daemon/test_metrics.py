"""Metrics: every one is documented, counts what happened, and is text that Prometheus can read."""

from __future__ import annotations

import re
from pathlib import Path

from deepd.server import metrics
from tests.daemon.test_api_daemon import running
from tests.eventually import eventually

PAGE = Path(metrics.__file__).with_name("METRICS.md")
_SAMPLE = re.compile(r'([a-z_]+)(?:\{([a-z]+)="([^"\\]*)"\})? (-?[0-9.e+-]+)')


def parse(text: str) -> dict[tuple[str, str], float]:
    """Return samples by name and label value; any other line is a failure."""
    found: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP|TYPE) [a-z_]+ .+", line), line
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, line
        found[match[1], match[3] or ""] = float(match[4])
    return found


async def test_every_metric_is_documented_and_none_is_invented(tmp_path: Path) -> None:
    async with running(tmp_path) as api:
        text = await api.operator.metrics()
    told = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    documented = re.findall(r"^\| `(\S+)` \| (\S+) \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(told) == sorted(documented)
    assert all(kind == ("counter" if name.endswith("_total") else "gauge") for name, kind in told)


async def test_what_happened_is_counted(tmp_path: Path) -> None:
    async with running(tmp_path) as api:
        before = parse(await api.operator.metrics())
        await api.agent.exec("main", "true")
        held = await api.agent.exec("held", "true", wait=False)
        await eventually(api.daemon.approvals.list)
        (shown,) = await api.operator.approvals()
        during = parse(await api.operator.metrics())
        await api.operator.decide(shown["id"], approve=False, fingerprint=shown["fingerprint"])
        after = parse(await api.operator.metrics())
    assert held.call["id"] == shown["id"]
    assert during["deepd_approvals_pending", ""] == 1
    assert during["deepd_open_calls", "held"] == 1
    assert after["deepd_approvals_pending", ""] == 0
    assert after["deepd_calls_ended_total", "finished"] == 1
    assert after["deepd_calls_ended_total", "denied"] == 1
    assert after["deepd_approvals_decided_total", "denied"] == 1
    assert after["deepd_approvals_asked_total", ""] == 1
    assert after["deepd_store_commits_total", ""] > before["deepd_store_commits_total", ""]
    assert after["deepd_store_durable_commits_total", ""] >= 2
    assert 0 < after["deepd_store_durable_commit_seconds_total", ""] < 60
    assert after["process_resident_memory_bytes", ""] > 10 << 20
    assert after["process_open_fds", ""] > 3
    assert after["deepd_audit_rows", ""] > before["deepd_audit_rows", ""]
    assert after["deepd_store_bytes", ""] > 0
