"""A plan as lines: what, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from deepd.tui.line import Line
from deepd.tui.shown import one_line
from deepd.tui.world import Json

_SIGNS = {
    "create": ("  +", "good"),
    "remove": ("  -", "bad"),
    "recreate": ("-/+", "warn"),
    "update": ("  ~", "accent"),
}


def plan_lines(actions: Iterable[Json]) -> list[Line]:
    """Return each action under its profile, with its cause."""
    lines: list[Line] = []
    above = None
    for action in actions:
        section = (action["profile"], action["file"])
        if section != above:
            above = section
            lines.append(Line(f"profile {one_line(section[0])}  {one_line(section[1])}", "bold"))
        sign, tone = _SIGNS.get(action["action"], _SIGNS["update"])
        text = f"{sign} {one_line(action['text'])}   {one_line(action['cause'])}"
        lines.append(Line(text, tone))
    return lines or [Line("nothing to do: what runs is what the files say", "quiet")]
