"""What commands print: aligned tables, colours where a person looks, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from deepd.model.visible import visible

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}
_STATES = {
    "ready": "green",
    "busy": "blue",
    "ok": "green",
    "finished": "green",
    "running": "blue",
    "warn": "yellow",
    "stale": "yellow",
    "held": "yellow",
    "pending": "yellow",
    "waiting": "yellow",
    "fail": "red",
    "failed": "red",
    "broken": "red",
    "lost": "red",
    "denied": "red",
    "stopped": "dim",
    "paused": "dim",
}
"""The first word of a state decides its colour; the word itself is always there too."""

_GAP = "  "
_LEAST = 12
"""A column is cut to fit the terminal, but not below this."""


def is_terminal(stream: TextIO) -> bool:
    """Return whether a person looks at this stream."""
    return stream.isatty()


def has_colour(stream: TextIO) -> bool:
    """Return whether colours are welcome there."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Return the text in a colour, where colours are welcome."""
    if not text or not has_colour(stream or sys.stdout):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def paint_state(state: str) -> str:
    """Return a state in its colour."""
    words = state.split(maxsplit=1)
    colour = _STATES.get(words[0].rstrip(",:")) if words else None
    return paint(state, colour) if colour else state


def print_json(value: Any) -> None:
    """Print one JSON document, readable for people where they look."""
    indent = 2 if sys.stdout.isatty() else None
    print(json.dumps(value, indent=indent, ensure_ascii=True))


def print_table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[str] = (),
    titles: bool = True,
) -> None:
    """Print rows under a header, as wide as their cells; in a terminal the last column is cut.

    Every cell passes the sanitiser, so that a row stays a row.
    """
    cells = [[visible(cell, one_line=True) for cell in row] for row in rows]
    widths = [max(width(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    if sys.stdout.isatty():
        widths[-1] = _room_for_last(widths)
    lines = [paint(_line(header, widths, header, right), "dim")] if titles else []
    lines += [_line(row, widths, header, right) for row in cells]
    print("\n".join(lines))


def render_pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield names and values under each other, the empty ones left out."""
    rows = [(name, visible(value)) for name, value in pairs if value]
    size = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        first, *rest = value.split("\n")
        yield f"{paint(name.ljust(size), 'dim')}  {first}"
        for line in rest:
            yield f"{'':{size}}  {line}"


def width(text: str) -> int:
    """Return how many columns the text takes in a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width  # noqa: PLC0415 - ASCII has no use for it

    return sum(
        0 if category(char)[0] == "M" else 2 if east_asian_width(char) in "WF" else 1
        for char in text
    )


def cut(text: str, room: int) -> str:
    """Return the text, its end replaced by `…` where it does not fit."""
    if width(text) <= room:
        return text
    kept = text[:room]
    while width(kept) > room - 1:
        kept = kept[:-1]
    return f"{kept}…"


def _room_for_last(widths: Sequence[int]) -> int:
    columns = os.get_terminal_size(sys.stdout.fileno()).columns or 80
    used = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    return min(widths[-1], max(columns - used, _LEAST))


def _line(
    cells: Sequence[str], widths: Sequence[int], header: Sequence[str], right: Sequence[str]
) -> str:
    shown = []
    for cell, size, title in zip(cells, widths, header, strict=True):
        text = cut(cell, size)
        blanks = " " * (size - width(text))
        painted = paint_state(text) if title == "STATE" and text != title else text
        shown.append(blanks + painted if title in right else painted + blanks)
    return _GAP.join(shown).rstrip()
