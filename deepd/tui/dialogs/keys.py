"""The help: what every key of a screen does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.binding import Binding

from deepd.tui.line import Line

_ALWAYS = (
    ("↑ ↓ k j", "Move in a list, or in a text"),
    ("tab", "Go to the next part of the screen"),
    ("^p", "Find a command by its name"),
)
"""What no binding of a screen has."""


def key_lines(own: Sequence[Binding], everywhere: Sequence[Binding]) -> list[Line]:
    """Return one line for each thing that can be done, with all keys that do it."""
    shown, general = _grouped(own), {**_grouped(everywhere), **{text: key for key, text in _ALWAYS}}
    room = max(len(keys) for keys in (*shown.values(), *general.values()))
    return [
        Line("here", rule=True),
        *_rows(shown, room),
        Line(""),
        Line("everywhere", rule=True),
        *_rows(general, room),
        Line(""),
        Line("What is shown is exactly what runs: \\u{…} spells out a character that cannot be"),
        Line("seen, · is a blank in a run of them, → a tab, ⏎ a new line, ↪ goes on from above."),
    ]


def _grouped(bindings: Sequence[Binding]) -> dict[str, str]:
    """Return what can be done, and the keys that do it."""
    keys: dict[str, str] = {}
    for binding in bindings:
        if binding.tooltip:
            before = keys.get(binding.tooltip, "")
            keys[binding.tooltip] = f"{before} {binding.key_display or binding.key}".lstrip()
    return keys


def _rows(keys: dict[str, str], room: int) -> Iterator[Line]:
    for text, names in keys.items():
        yield Line(text, lead=((f"{names:<{room}}  ", "accent"),))
