"""The help: what every key of a screen does."""

from __future__ import annotations

from collections.abc import Sequence

from textual.binding import Binding

from deepd.tui.widgets.document import Line


def key_lines(own: Sequence[Binding], everywhere: Sequence[Binding]) -> list[Line]:
    """Return one line a key."""
    shown = [_pair(binding) for binding in own if binding.tooltip]
    general = [_pair(binding) for binding in everywhere if binding.tooltip]
    room = max(len(key) for key, _ in (*shown, *general))
    return [
        Line("here", rule=True),
        *(Line(f"{key:<{room}}  {text}") for key, text in shown),
        Line(""),
        Line("everywhere", rule=True),
        *(Line(f"{key:<{room}}  {text}") for key, text in general),
        Line(""),
        Line("What is shown is exactly what runs: \\u{…} spells out a character that cannot be"),
        Line("seen, · is a blank in a run of them, → a tab, ⏎ a new line, ↪ goes on from above."),
    ]


def _pair(binding: Binding) -> tuple[str, str]:
    return binding.key_display or binding.key, binding.tooltip
