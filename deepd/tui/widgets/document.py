"""Document: text that wraps and is never cut, and that knows whether its end was on screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from deepd.tui.cells import wrap
from deepd.tui.line import Line, Piece
from deepd.tui.shown import BLANK
from deepd.tui.widgets.painted import Painted

_GUTTER = 2
_CONTINUES = "↪ "
_FILLED = frozenset({"add", "remove", "call"})
"""Tones that fill a row to its end."""


class Document(Painted, can_focus=True):
    """Lines in order; a line that goes on below begins with `↪` there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_by(-1)", "Up", show=False),
        Binding("down,j", "scroll_by(1)", "Down", show=False),
        Binding("pageup", "scroll_pages(-1)", "Page up", show=False),
        Binding("pagedown", "scroll_pages(1)", "Page down", show=False),
        Binding("home", "scroll_edge(0)", "Top", show=False),
        Binding("end", "scroll_edge(1)", "End", show=False),
    ]

    class EndSeen(Message):
        """The last line that matters has been on screen."""

        def __init__(self, document: Document) -> None:
            super().__init__()
            self.document = document

        @property
        def control(self) -> Document:
            """The document, for `@on` with a selector."""
            return self.document

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._lines: tuple[Line, ...] = ()
        self._matter = 0
        self._rows: list[tuple[Line, str, bool]] = []
        self._last_row = -1
        self.end_seen = False

    @property
    def lines(self) -> tuple[Line, ...]:
        """What it shows."""
        return self._lines

    def show(self, lines: Sequence[Line], *, matter: int | None = None, same: bool = False) -> None:
        """Show these lines from the top; the first `matter` of them have to be seen.

        With `same` it is the same text again, at most with more behind it: what was seen stays
        seen and nothing moves.
        """
        if same and tuple(lines) == self._lines:
            return
        self._lines = tuple(lines)
        self._matter = len(lines) if matter is None else matter
        if not same:
            self.end_seen = False
            self.scroll_to(y=0, animate=False, immediate=True)
        self._wrap()
        self.look_for_end()

    def look_for_end(self) -> None:
        """Note whether the end is in sight, once what changed is drawn; no use under a dialog."""
        self.call_after_refresh(self._look_for_end)

    def action_scroll_by(self, rows: int) -> None:
        """Scroll by rows."""
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False, immediate=True)

    def action_scroll_pages(self, pages: int) -> None:
        """Scroll by pages that overlap by a row."""
        self.action_scroll_by(pages * max(1, self.size.height - 1))

    def action_scroll_edge(self, end: int) -> None:
        """Scroll to the top or to the end."""
        self.scroll_to(y=end * len(self._rows), animate=False, immediate=True)

    def on_resize(self) -> None:
        """Wrap anew; what was seen stays seen."""
        self._wrap()
        self.look_for_end()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Note when the end comes into sight."""
        super().watch_scroll_y(old_value, new_value)
        self.look_for_end()

    def render_line(self, y: int) -> Strip:
        """Draw one row."""
        size = self.columns
        number = y + self.scroll_offset.y
        if not 0 <= number < len(self._rows):
            return self.paint([], size)
        line, text, is_first = self._rows[number]
        if line.rule:
            rest = "─" * max(0, size - len(text) - 4)
            return self.paint(
                [("─ " if text else "──", "quiet"), (f"{text} {rest}", "quiet")], size
            )
        gutter: Piece = (f"{line.gutter:<{_GUTTER}}", line.tone)
        if not is_first:
            gutter = (_CONTINUES, "quiet")
        base = self.tone(line.tone) if line.tone in _FILLED else None
        return self.paint([gutter, *_pieces(line, text, is_first=is_first)], size, base)

    def _wrap(self) -> None:
        room = self.columns - _GUTTER
        self._rows = []
        self._last_row = -1
        for number, line in enumerate(self._lines):
            for part, text in enumerate(_parts(_lead(line) + line.text, room)):
                self._rows.append((line, text, part == 0))
            if number == self._matter - 1:
                self._last_row = len(self._rows) - 1
        self.virtual_size = Size(0, len(self._rows))
        self.refresh()

    def _look_for_end(self) -> None:
        is_visible = self.size.height > 0 and self.screen.is_current
        bottom = self.scroll_offset.y + self.size.height
        if not self.end_seen and is_visible and bottom > self._last_row >= 0:
            self.end_seen = True
            self.post_message(self.EndSeen(self))


def _parts(text: str, room: int) -> list[str]:
    """Return the rows of a line.

    Where a wide character did not fit, a row ends with a blank that is none of the text's; so a
    blank of the text is marked there.
    """
    parts = wrap(text, room)
    if text.isascii():
        return parts
    return [*(_marked(part) for part in parts[:-1]), parts[-1]]


def _marked(part: str) -> str:
    return part[:-1] + BLANK if part.endswith(" ") else part


def _lead(line: Line) -> str:
    return "".join(text for text, _ in line.lead)


def _pieces(line: Line, text: str, *, is_first: bool) -> list[Piece]:
    """Return a row's text in its tones; a lead is shorter than a row, or loses its tones."""
    if not is_first or not text.startswith(_lead(line)):
        return [(text, line.tone)]
    return [*line.lead, (text.removeprefix(_lead(line)), line.tone)]
