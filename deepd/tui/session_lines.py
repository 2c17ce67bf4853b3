"""What the details of a session, a call's event or a profile say. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from deepd.tui.call_lines import call_lines
from deepd.tui.line import Line
from deepd.tui.moment import of_day, short
from deepd.tui.shown import many_lines, one_line
from deepd.tui.state import tone_of
from deepd.tui.world import Json

_CALLS = 20


def pairs(values: Sequence[tuple[str, Any]]) -> Iterator[Line]:
    """Yield names and values, the empty ones left out."""
    kept = [(name, value) for name, value in values if value not in (None, "", 0)]
    room = max((len(name) for name, _ in kept), default=0)
    for name, value in kept:
        yield Line(one_line(value), lead=((f"{name:<{room}}  ", "quiet"),))


def session_lines(item: Json, calls: Sequence[Json], *, now: float) -> list[Line]:
    """Return all that is known of a session."""
    idle = f"in {short(item['idle_at'] - now)}" if item.get("idle_at") else ""
    lines = [
        Line(one_line(item["state"]), tone_of(item["state"])),
        *pairs(
            [
                ("cause", item.get("cause")),
                ("profile", item["profile"]),
                ("stops", idle),
                ("engine", item.get("engine")),
                ("isolation", item.get("isolation")),
                ("container", item.get("container")),
                ("image", item.get("image")),
                ("user", item.get("user")),
                ("made", f"{short(now - item['created_at'])} ago" if item["created_at"] else ""),
                ("used", f"{short(now - item['last_active'])} ago" if item["last_active"] else ""),
                ("running", item.get("running")),
                ("held", item.get("held")),
                ("container number", item.get("generation")),
            ]
        ),
    ]
    if item.get("stale"):
        lines.append(Line("its container is of an older version of the profile", "warn"))
    if calls:
        lines += [Line(""), Line("calls, the newest first", rule=True)]
    return [*lines, *call_lines(calls[:_CALLS])]


def event_lines(event: Json) -> list[Line]:
    """Return all of an event."""
    lines = list(
        pairs(
            [
                ("number", event["id"]),
                ("at", of_day(event["at"])),
                ("kind", event["kind"]),
                ("session", event.get("session")),
                ("call", event.get("call")),
            ]
        )
    )
    for name, value in (event.get("data") or {}).items():
        if isinstance(value, str) and "\n" in value:
            lines += [Line(one_line(name), "quiet"), *map(Line, many_lines(value))]
        else:
            lines.append(Line(one_line(value), lead=((f"{one_line(name)}  ", "quiet"),)))
    return lines


def json_lines(value: Any) -> list[Line]:
    """Return a document as it is on the wire."""
    return [Line(text) for text in many_lines(json.dumps(value, indent=2, ensure_ascii=False))]
