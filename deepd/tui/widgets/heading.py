"""Heading: one line over a pane."""

from __future__ import annotations

from collections.abc import Sequence

from textual.reactive import reactive
from textual.strip import Strip

from deepd.tui.cells import cut, width
from deepd.tui.line import Piece
from deepd.tui.widgets.painted import Painted


class Heading(Painted, can_focus=False):
    """Pieces in a row; the first gives way where there is little room, the last stays."""

    pieces: reactive[Sequence[Piece]] = reactive((), init=False)

    def render_line(self, y: int) -> Strip:
        """Draw it."""
        size = self.size.width
        over = sum(width(text) for text, _ in self.pieces) - size
        shown: list[Piece] = []
        for text, tone in self.pieces:
            room = width(text) - over if over > 0 and width(text) > 20 else width(text)
            fitted = cut(text, max(8, room)) if room < width(text) else text
            over -= width(text) - width(fitted)
            shown.append((fitted, tone))
        return self.paint(shown, size)
