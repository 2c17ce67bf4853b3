"""How wide text is in a terminal, and text made to fit: wrapped, or cut with a mark."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells

from deepd.tui.shown import ELLIPSIS


def width(text: str) -> int:
    """Return how many columns it takes."""
    return len(text) if text.isascii() else cell_len(text)


def wrap(text: str, columns: int) -> list[str]:
    """Return the text in pieces of at most so many columns; together they are the text."""
    columns = max(2, columns)
    if not text:
        return [""]
    if text.isascii():
        return [text[start : start + columns] for start in range(0, len(text), columns)]
    return chop_cells(text, columns)


def cut(text: str, columns: int) -> str:
    """Return the text, its end replaced by `…` where it does not fit; never for a decision."""
    if width(text) <= columns:
        return text
    if columns < 1:
        return ""
    kept = text[:columns]
    while width(kept) > columns - 1:
        kept = kept[:-1]
    return kept + ELLIPSIS


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Return the text as wide as its column."""
    text = cut(text, columns)
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks
