"""How the daemon is doing, as text."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from deepd.cli.show import paint, paint_state, render_pairs
from deepd.model.duration import render_age
from deepd.model.visible import visible


def render_status(
    info: dict[str, Any],
    socket_path: str,
    sessions: list[dict[str, Any]],
    approvals: list[dict[str, Any]],
) -> Iterator[str]:
    """Yield the lines: the daemon, its engine, what waits, and each profile."""
    yield from render_pairs(
        [
            ("daemon", _daemon(info)),
            ("socket", socket_path),
            ("engine", _engine(info["engine"])),
            ("sessions", "\n".join([_sessions(sessions), *_isolation(sessions)])),
            ("approvals", _approvals(approvals)),
        ]
    )
    for profile, holds in zip(info["profiles"], info["holds"], strict=True):
        yield _profile(profile) if holds else f"{_profile(profile)}  nothing is held"
        if profile["problems"]:
            yield from _problems(profile)


def _daemon(info: dict[str, Any]) -> str:
    text = f"deepd {info.get('version', '?')}, pid {info.get('pid', '?')}"
    started = info.get("started_at") or info.get("started")
    return f"{text}, up {render_age(time.time() - started)}" if started else text


def _engine(engine: dict[str, Any]) -> str:
    """Return name, state and isolation; when it is down, where and why."""
    parts = [f"{engine.get('name', '?')} {engine.get('version', '')}".strip()]
    parts += [str(engine.get("state", "up")), str(engine.get("endpoint") or "")]
    parts += [str(engine.get("isolation") or ""), str(engine.get("detail") or "")]
    text = ", ".join(part for part in parts if part)
    warnings = engine.get("warnings") or ()
    return "\n".join([text, *(f"warning: {warning}" for warning in warnings)])


def _sessions(sessions: list[dict[str, Any]]) -> str:
    states: dict[str, int] = {}
    for session in sessions:
        states[session["state"]] = states.get(session["state"], 0) + 1
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return f"{len(sessions)}: {counts}" if sessions else "none"


def _isolation(sessions: list[dict[str, Any]]) -> Iterator[str]:
    """Yield how far those are isolated that are something else than a whole container."""
    names: dict[str, list[str]] = {}
    for session in sessions:
        if session.get("isolation"):
            names.setdefault(f"{session['engine']}: {session['isolation']}", []).append(
                session["name"]
            )
    for level, named in sorted(names.items()):
        is_none = level.partition(": ")[2].startswith("none")
        yield f"{paint(level, 'red') if is_none else level}: {', '.join(sorted(named))}"


def _approvals(approvals: list[dict[str, Any]]) -> str:
    return f"{len(approvals)} pending: deepd approvals" if approvals else "none pending"


def _profile(profile: dict[str, Any]) -> str:
    state = paint_state(str(profile["state"]))
    name = visible(str(profile["name"]), one_line=True)
    file = paint(visible(str(profile["file"]), one_line=True), "dim")
    return f"profile {name}  {state}  {file}"


def _problems(profile: dict[str, Any]) -> Iterator[str]:
    from deepd.cli.problems import render_problems  # noqa: PLC0415 - a good profile has none

    if profile["state"] == "stale":
        yield ("the last good version is in force; the file on disk is refused:")
    yield render_problems(profile["problems"], sys.stdout)
