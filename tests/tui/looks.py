"""What a screen looks like, as text: its cells, and the two looks that each of them has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import groupby
from string import ascii_letters, digits
from typing import TYPE_CHECKING

from tests.tui.world import Desk

if TYPE_CHECKING:
    from rich.color import Color
    from rich.style import Style
    from textual.strip import Strip

Cell = tuple[str, str]
"""A character, and its look."""
_LOOKS = 3
_BETWEEN = 0.03
_LETTERS = ascii_letters + digits


async def at_rest(desk: Desk) -> list[list[Cell]]:
    """Return each row of the screen once it has stayed the same for some looks.

    A scroll bar comes one layout after the text that needs it.
    """
    seen = [cells(desk)]
    async with asyncio.timeout(30):
        while len(seen) < _LOOKS or any(view != seen[-1] for view in seen[-_LOOKS:]):
            await asyncio.sleep(_BETWEEN)
            await desk.settle()
            seen.append(cells(desk))
    return seen[-1]


def cells(desk: Desk) -> list[list[Cell]]:
    """Return each row of the screen as it is now."""
    width, _ = desk.app.size
    rows = desk.app.screen._compositor.render_strips()
    return [list(_cells(strip))[:width] for strip in rows]


def render(dark: Sequence[Sequence[Cell]], light: Sequence[Sequence[Cell]]) -> str:
    """Return the characters, then which look each has as runs, then what the looks are.

    A look is a letter; it stands for one style in the dark theme and one in the light theme.
    """
    letters: dict[tuple[str, str], str] = {}
    texts, runs = [], []
    for one, other in zip(dark, light, strict=True):
        text = "".join(char for char, _ in one)
        in_light = "".join(char for char, _ in other)
        assert text == in_light, f"a theme changed the words:\n{text}\n{in_light}"
        looks = [(left, right) for (_, left), (_, right) in zip(one, other, strict=True)]
        texts.append(text.rstrip())
        runs.append(" ".join(_runs(looks, letters)))
    legend = [f"{letter}  {left}  /  {right}" for (left, right), letter in letters.items()]
    return "\n".join([*texts, "", *runs, "", *legend, ""])


def _runs(looks: list[tuple[str, str]], letters: dict[tuple[str, str], str]) -> Iterator[str]:
    for look, group in groupby(looks):
        letter = letters.setdefault(look, _LETTERS[len(letters)])
        yield f"{letter}{len(list(group))}"


def _cells(strip: Strip) -> Iterator[Cell]:
    for text, style, _ in strip:
        look = _look(style)
        for char in text:
            yield char, look


def _look(style: Style | None) -> str:
    if style is None:
        return "plain"
    words = [word for word in ("bold", "reverse", "underline", "dim") if getattr(style, word)]
    return " ".join([*words, f"{_name(style.color)} on {_name(style.bgcolor)}"])


def _name(color: Color | None) -> str:
    return "-" if color is None else color.get_truecolor().hex
