"""Back from what is shown to what it stands for: the other direction of `deepd.tui.shown`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from deepd.model.visible import from_visible
from deepd.tui.line import Line
from deepd.tui.shown import BLANK, TAB


def from_lines(lines: Iterable[str]) -> str:
    """Return the text of lines that `many_lines` made."""
    return from_visible("\n".join(lines).replace(TAB, "\t").replace(BLANK, " "))


def from_line(line: str) -> str:
    """Return the text that `one_line` was given."""
    return from_visible(line.replace(BLANK, " "), one_line=True)


def side(lines: Sequence[Line], sign: str) -> str:
    """Return the text before (`-`) or after (`+`) a change that is shown whole."""
    pieces = [""]
    is_ours = False
    for line in lines:
        if line.gutter == "\\":
            if is_ours:
                pieces[-1] = pieces[-1].removesuffix("\n")
            continue
        is_ours = line.gutter in {sign, " "}
        if is_ours:
            pieces.append(from_lines([line.text]) + "\n")
    return "".join(pieces)


def rows_of(screen: Sequence[str], *, columns: int, gutter: int = 2) -> list[str]:
    """Return a document's lines from rows as wide as it, those that wrap put together.

    A row that does not reach the end has been ended by a character of two columns.
    """
    lines: list[str] = []
    for row in screen:
        if row.startswith("↪ "):
            above = lines[-1].rstrip() if _is_wide(row[gutter]) else lines[-1]
            lines[-1] = above + row[gutter:]
        else:
            lines.append(row[gutter:])
        lines[-1] += " " * (columns - cell_len(row))
    return [line.rstrip() for line in lines]


def _is_wide(char: str) -> bool:
    return cell_len(char) > 1
