"""Table: the figures of a run for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.bench.subjects.works import Work


def render(found: dict[str, Any], works: Mapping[str, Work]) -> str:
    """Return the whole text: who took part, a line a figure, a line a goal."""
    return "\n".join([*_head(found), *_figures(found["rows"], works), "", *_goals(found["goals"])])


def _head(found: dict[str, Any]) -> Iterator[str]:
    before, after = found["load"]
    load = f"load {before:.1f} before and {after:.1f} after"
    yield f"image {found['image']}, {found['cpus']} cpus, {load}"
    for name, version in found["versions"].items():
        yield f"  {name:16} {version}"
    for name, reason in found["unable"].items():
        yield f"  {name:16} cannot run here: {reason}"


def _figures(rows: list[dict[str, Any]], works: Mapping[str, Work]) -> Iterator[str]:
    ours = {row["work"]: row["median"] for row in rows if row["subject"] == "deepd" and "n" in row}
    last = ""
    for row in rows:
        work = works[row["work"]]
        if row["work"] != last:
            last = row["work"]
            yield ""
            heads = f"{'median':>10} {'p95':>10} {work.unit:3} {'times':>5}"
            yield f"{work.title:38} {heads}  of deepd's"
        if "unable" in row:
            yield f"  {row['subject']:36} cannot: {row['unable']}"
            continue
        base = ours.get(row["work"])
        ratio = f"{row['median'] / base:8.2f}x" if base else ""
        figures = f"{row['median']:10.3f} {row['p95']:10.3f} {'':3} {row['n']:5}"
        yield f"  {row['subject']:36} {figures} {ratio}"


def _goals(goals: list[dict[str, Any]]) -> Iterator[str]:
    yield f"{'goal':12} {'against':20} {'at least':>12} {'reached':>18}"
    for goal in goals:
        verdict = "yes" if goal["ok"] else "NO"
        line = f"{goal['work']:12} {goal['against']:20} {goal['goal']:>12} {goal['reached']:>18}"
        yield f"{line}  {verdict}" + (f"  ({goal['known']})" if goal["known"] else "")
