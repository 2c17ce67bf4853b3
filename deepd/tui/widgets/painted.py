"""Painted: a scrolling widget that draws its lines from pieces of text in tones.

Nothing here reads markup: a piece is text that went through `deepd.tui.shown`, and a tone is a
word of ours. A control character that came this far all the same is drawn as `\\ufffd`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.segment import Segment
from rich.style import Style
from textual.scroll_view import ScrollView
from textual.strip import Strip

from deepd.tui.line import Piece

TONES = (
    "quiet",
    "accent",
    "good",
    "warn",
    "bad",
    "bold",
    "title",
    "call",
    "add",
    "remove",
    "found",
)
"""Each is a component class `tone--…` in dashboard.tcss."""
TONE_CLASSES = frozenset(f"tone--{tone}" for tone in TONES)
"""For the screen: it alone has them, as each widget's would be worked out at every change."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Painted(ScrollView):
    """The base: `paint()` makes one line; its screen has `TONE_CLASSES`."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._looks: dict[tuple[Style | None, str], Style] = {}
        """Worked out once for each tone over each base, as that takes longer than a line."""

    def notify_style_update(self) -> None:
        """Forget how tones look: they look otherwise now."""
        super().notify_style_update()
        self._looks.clear()

    @property
    def columns(self) -> int:
        """How wide a line is: what a scroll bar covers is none of it, or it would hide text."""
        return max(0, self.size.width - self.scrollbar_size_vertical)

    def tone(self, name: str) -> Style:
        """Return a tone's style, to be laid over the base."""
        if not name:
            return Style.null()
        return self.screen.get_component_rich_style(f"tone--{name}", partial=True)

    def paint(self, pieces: Iterable[Piece], width: int, base: Style | None = None) -> Strip:
        """Return one line of a width; what is longer than that is cropped."""
        segments = [
            Segment(_CONTROL.sub("\ufffd", text), self._look_of(tone, base))
            for text, tone in pieces
            if text
        ]
        return Strip(segments).adjust_cell_length(width, self._look_of("", base))

    def _look_of(self, tone: str, base: Style | None) -> Style:
        look = self._looks.get((base, tone))
        if look is None:
            under = self.rich_style if base is None else self.rich_style + base
            look = self._looks[base, tone] = under + self.tone(tone)
        return look
