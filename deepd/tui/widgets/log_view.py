"""LogView: a bounded window over what sessions print; drawn only where it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from deepd.tui.cells import cut, wrap
from deepd.tui.line import Piece
from deepd.tui.moment import of_day
from deepd.tui.shown import one_line
from deepd.tui.widgets.painted import Painted
from deepd.tui.world import Json

MOST_ROWS = 20_000
"""Rows of the window; the daemon has what was before."""
_NAME = 12
_STDERR = 2


class Row(NamedTuple):
    """One row on screen: a line of the log, or a part of one that wraps."""

    session: str
    line: Json
    text: str | None
    """The part as it may be shown; `None`: all of the line, not worked out yet."""
    is_first: bool


class LogView(Painted, can_focus=True):
    """Lines in the order of arrival; it follows the end until somebody scrolls up."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_by(-1)", "Up", show=False),
        Binding("down,j", "scroll_by(1)", "Down", show=False),
        Binding("pageup", "scroll_pages(-1)", "Page up", show=False),
        Binding("pagedown", "scroll_pages(1)", "Page down", show=False),
        Binding("home", "scroll_edge(0)", "Top", show=False),
        Binding("end", "scroll_edge(1)", "End", show=False),
    ]

    follows: reactive[bool] = reactive(True)
    wraps: reactive[bool] = reactive(True, init=False)
    times: reactive[bool] = reactive(True, init=False)
    names: reactive[bool] = reactive(False, init=False)
    """Whether each line says which session it is of."""
    found: reactive[int] = reactive(-1)
    """The row that the search is at."""

    class Followed(Message):
        """It follows the end now, or does not any more."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._rows: list[Row] = []
        self.received = 0
        """Lines since it was cleared."""

    @property
    def chosen(self) -> str:
        """The text of the line that the search is at, else of the last one in sight."""
        number = self.found if self.found >= 0 else self.scroll_offset.y + self.size.height - 1
        number = min(number, len(self._rows) - 1)
        return str(self._rows[number].line["text"]) if number >= 0 else ""

    def clear(self) -> None:
        """Forget all lines."""
        self._rows, self.received, self.found = [], 0, -1
        self._fit()

    def drop(self, session: str) -> None:
        """Forget the lines of one session, which come again."""
        self._rows = [row for row in self._rows if row.session != session]
        self._fit()

    def extend(self, lines: Sequence[tuple[str, Json]]) -> None:
        """Take a batch of lines; what is too much is forgotten at the top."""
        self.received += len(lines)
        room = self._room()
        for session, line in lines[-MOST_ROWS:]:
            self._rows += self._rows_of(session, line, room)
        excess = len(self._rows) - MOST_ROWS
        if excess > 0:
            del self._rows[:excess]
            self.found = max(-1, self.found - excess)
            if not self.follows:
                self.scroll_to(y=self.scroll_offset.y - excess, animate=False, immediate=True)
        self._fit()

    def search(self, step: int) -> None:
        """Go to the next line, or the one before; all that are here were found by the daemon."""
        if not self._rows:
            return
        start = self.found if self.found >= 0 else len(self._rows) * (step < 0) - (step > 0)
        number = max(0, min(start + step, len(self._rows) - 1))
        while 0 < number < len(self._rows) - 1 and not self._rows[number].is_first:
            number += step
        self.follows = False
        self.found = number
        self.scroll_to(y=number - self.size.height // 2, animate=False, immediate=True)

    def action_scroll_by(self, rows: int) -> None:
        """Scroll by rows; going up ends the following, coming to the end begins it."""
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False, immediate=True)
        self.follows = self.scroll_offset.y >= self.max_scroll_y

    def action_scroll_pages(self, pages: int) -> None:
        """Scroll by pages."""
        self.action_scroll_by(pages * max(1, self.size.height - 1))

    def action_scroll_edge(self, end: int) -> None:
        """Scroll to the top, or to the end."""
        self.action_scroll_by(len(self._rows) if end else -len(self._rows))

    def on_mouse_scroll_up(self) -> None:
        """Stop following."""
        self.follows = False

    def on_resize(self) -> None:
        """Wrap anew."""
        self._rewrap()

    def watch_follows(self) -> None:
        """Go to the end, and say so."""
        self._fit()
        self.post_message(self.Followed())

    def watch_wraps(self) -> None:
        """Wrap anew."""
        self._rewrap()

    def watch_times(self) -> None:
        """Wrap anew: the times take room."""
        self._rewrap()

    def watch_names(self) -> None:
        """Wrap anew: the names take room."""
        self._rewrap()

    def watch_found(self) -> None:
        """Draw it."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw one row."""
        size = self.columns
        number = y + self.scroll_offset.y
        if not 0 <= number < len(self._rows):
            return self.paint([], size)
        row = self._rows[number]
        text = self._text(row.line) if row.text is None else row.text
        if not row.line["stream"]:
            text = cut(text, size - self._indent())
        tone = "quiet" if not row.line["stream"] else ""
        if row.line["stream"] == _STDERR:
            tone = "warn"
        base = self.tone("found") if number == self.found else None
        return self.paint([*self._prefix(row), (text, tone)], size, base)

    def _prefix(self, row: Row) -> list[Piece]:
        if not row.is_first:
            return [(" " * (self._indent() - 2) + "↪ ", "quiet")]
        pieces: list[Piece] = []
        if self.times:
            pieces.append((f"{of_day(row.line['at'])} ", "quiet"))
        if self.names:
            pieces.append((f"{row.session[:_NAME]:<{_NAME}} ", "accent"))
        stderr = row.line["stream"] == _STDERR
        pieces.append(("! " if stderr else "  " if row.line["stream"] else "· ", "quiet"))
        return pieces

    def _indent(self) -> int:
        return 9 * self.times + (_NAME + 1) * self.names + 2

    def _text(self, line: Json) -> str:
        text = one_line(line["text"])
        return text if line["stream"] else f"{line['kind'].replace('_', ' ')}  {text}"

    def _room(self) -> int:
        """Return the columns of a line's own text; to be asked once a batch, for it takes long."""
        return self.columns - self._indent()

    def _rows_of(self, session: str, line: Json, room: int) -> list[Row]:
        raw = line["text"]
        if not self.wraps or not line["stream"] or len(raw) * 12 <= room:
            # It is cut, or would fit even if each character had to be spelled out.
            return [Row(session, line, None, is_first=True)]
        if len(raw) <= room and raw.isascii() and raw.isprintable():
            return [Row(session, line, None, is_first=True)]
        parts = wrap(self._text(line), room)
        return [Row(session, line, part, number == 0) for number, part in enumerate(parts)]

    def _rewrap(self) -> None:
        room = self._room()
        firsts = [row for row in self._rows if row.is_first]
        self._rows = [part for row in firsts for part in self._rows_of(row.session, row.line, room)]
        self.found = -1
        self._fit()

    def _fit(self) -> None:
        self.virtual_size = Size(0, len(self._rows))
        if self.follows:
            # With force, for there is no scroll bar yet where all lines come at once.
            self.scroll_to(y=len(self._rows), animate=False, immediate=True, force=True)
        self.refresh()
