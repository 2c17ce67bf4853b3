"""Calls that were made, a line each: when, how it ended, how long it took, what it was. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepd.tui.cells import pad
from deepd.tui.gist import title
from deepd.tui.line import Line
from deepd.tui.moment import of_day, took
from deepd.tui.shown import one_line
from deepd.tui.state import outcome
from deepd.tui.world import Json

_BEFORE = 8
_LONGEST = 200
"""Characters of a call that ran before: no decision depends on the rest."""
_ENDED, _TOOK, _TOOL = 9, 5, 10


def call_lines(calls: Sequence[Json]) -> Iterator[Line]:
    """Yield a line for each call, its parts under those of the others."""
    room = max((len(call["tool"]) for call in calls), default=0)
    for call in calls:
        ended, tone = outcome(call)
        tone = "quiet" if tone == "good" else tone
        tool = pad(one_line(call["tool"]), min(_TOOL, room))
        yield Line(
            one_line(title(call))[:_LONGEST],
            lead=(
                (f"{of_day(call['created_at'])}  ", "quiet"),
                (f"{ended:<{_ENDED}} ", tone),
                (f"{_duration(call):>{_TOOK}}  {tool}  ", "quiet"),
            ),
        )


def history_lines(calls: Sequence[Json]) -> Iterator[Line]:
    """Yield what the session did before, the newest first."""
    if calls:
        yield Line("")
        yield Line("before this, in this session", rule=True)
        yield from call_lines(calls[:_BEFORE])


def _duration(call: Json) -> str:
    if not call.get("started_at") or not call.get("ended_at"):
        return ""
    return took(call["ended_at"] - call["started_at"])
