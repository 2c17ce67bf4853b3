"""Listing: a table of rows with one chosen; columns give way where there is little room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from deepd.tui.cells import cut, pad, width
from deepd.tui.line import Piece
from deepd.tui.shown import one_line
from deepd.tui.widgets.painted import Painted

_GAP = 2
ALL = 1 << 16
"""As many columns as there are."""


@dataclass(frozen=True)
class Column:
    """One column: as wide as its cells, between `least` and `most`."""

    name: str
    title: str
    least: int = 4
    most: int = 40
    right: bool = False
    rank: int = 0
    """The highest ranks go first where there is little room; 0 stays."""
    grows: bool = False
    """It takes the room that is left, up to `most`."""


@dataclass(frozen=True)
class Row:
    """One line: cells by the names of the columns, each a text of any origin and a tone."""

    key: str
    cells: Mapping[str, Piece]


class Listing(Painted, can_focus=True):
    """Rows with a cursor; marks are kept by whoever owns it and handed down."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("enter", "choose", "Open", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "listing--chosen",
        "listing--chosen-focus",
    }

    class Selected(Message):
        """The cursor is on another row, or on none."""

        def __init__(self, listing: Listing, key: str) -> None:
            super().__init__()
            self.listing = listing
            self.key = key

        @property
        def control(self) -> Listing:
            """The listing, for `@on` with a selector."""
            return self.listing

    class Chosen(Selected):
        """Enter was pressed on a row."""

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        titled: bool = True,
        id: str | None = None,  # noqa: A002 - Textual's own name for it
    ) -> None:
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._titled = titled
        self._rows: tuple[Row, ...] = ()
        self._marks: AbstractSet[str] = frozenset()
        self._cursor = 0
        self._widths: dict[str, int] = {}
        self._empty: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key of the row with the cursor; empty where there is none."""
        return self._rows[self._cursor].key if self._rows else ""

    @property
    def keys(self) -> list[str]:
        """The keys of all rows."""
        return [row.key for row in self._rows]

    def fill(
        self, rows: Sequence[Row], *, marks: AbstractSet[str] = frozenset(), empty: str = ""
    ) -> None:
        """Show these rows; the cursor stays on its row, or where that was."""
        lines = tuple(empty.split("\n")) if empty else ()
        if (tuple(rows), marks, lines) == (self._rows, self._marks, self._empty):
            return
        before = self.key
        self._rows, self._marks, self._empty = tuple(rows), marks, lines
        keys = self.keys
        if before in keys:
            self._cursor = keys.index(before)
        self._cursor = max(0, min(self._cursor, len(rows) - 1))
        self._measure()
        if self.key != before:
            self._tell()
        self.refresh()

    def select(self, key: str) -> None:
        """Move the cursor to a row."""
        if key in self.keys:
            self._go(self.keys.index(key))

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self._go(self._cursor + step)

    def action_page(self, pages: int) -> None:
        """Move the cursor by whole pages."""
        self._go(self._cursor + pages * max(1, self.size.height - 2))

    def action_edge(self, end: int) -> None:
        """Move the cursor to the first row or the last."""
        self._go(end * (len(self._rows) - 1))

    def action_choose(self) -> None:
        """Open the row with the cursor."""
        if self.key:
            self.post_message(self.Chosen(self, self.key))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the click was, and nothing else."""
        row = event.y + self.scroll_offset.y - self._titled
        if event.y >= int(self._titled) and 0 <= row < len(self._rows):
            self._go(row)

    def on_resize(self) -> None:
        """Fit the columns anew."""
        self._measure()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw the titles, a row, or one line of what to do next."""
        size = self.columns
        if self._titled and y == 0 and self._rows:
            return self.paint(self._title(), size, self.tone("quiet"))
        number = y - self._titled + self.scroll_offset.y
        if not self._rows and y >= 1 and y - 1 < len(self._empty):
            text = cut(self._empty[y - 1], size - 3)
            return self.paint([("  ", ""), (text, "quiet" if y > 1 else "")], size)
        if not 0 <= number < len(self._rows):
            return self.paint([], size)
        return self._row(number, size)

    def _row(self, number: int, size: int) -> Strip:
        row, is_chosen = self._rows[number], number == self._cursor
        mark = "✓" if row.key in self._marks else "▸" if is_chosen else " "
        pieces: list[Piece] = [(f"{mark} ", "accent")]
        for column in self._columns:
            if column.name in self._widths:
                text, tone = row.cells.get(column.name, ("", ""))
                room = self._widths[column.name]
                pieces.append((pad(one_line(text), room, right=column.right), tone))
                pieces.append((" " * _GAP, ""))
        return self.paint(pieces, size, self._look() if is_chosen else None)

    def _look(self) -> Style:
        name = "listing--chosen-focus" if self.has_focus else "listing--chosen"
        return self.get_component_rich_style(name, partial=True)

    def _title(self) -> list[Piece]:
        pieces: list[Piece] = [("  ", "")]
        for column in self._columns:
            if column.name in self._widths:
                room = self._widths[column.name]
                pieces.append((pad(column.title, room, right=column.right) + " " * _GAP, ""))
        return pieces

    def _measure(self) -> None:
        """Decide which columns there are, and how wide."""
        self.virtual_size = Size(0, len(self._rows) + self._titled)
        wanted = {column.name: self._wanted(column) for column in self._columns}
        room = self.columns - 2
        shown = list(self._columns)
        while len(shown) > 1 and sum(wanted[c.name] + _GAP for c in shown) > room + _GAP:
            last = max(shown, key=lambda column: column.rank)
            if not last.rank:
                break
            shown.remove(last)
        used = sum(wanted[column.name] + _GAP for column in shown) - _GAP
        for column in shown:
            if column.grows:
                grown = min(column.most, wanted[column.name] + room - used)
                wanted[column.name] = max(column.least, grown)
        self._widths = {column.name: wanted[column.name] for column in shown}

    def _wanted(self, column: Column) -> int:
        if column.grows:
            return column.least
        cells = (one_line(row.cells.get(column.name, ("", ""))[0]) for row in self._rows)
        longest = max((width(cell) for cell in cells), default=0)
        return max(column.least, len(column.title), min(column.most, longest))

    def _go(self, number: int) -> None:
        number = max(0, min(number, len(self._rows) - 1))
        if self._rows and number != self._cursor:
            self._cursor = number
            self._tell()
            self.refresh()

    def _tell(self) -> None:
        self._scroll_to_cursor()
        self.post_message(self.Selected(self, self.key))

    def _scroll_to_cursor(self) -> None:
        height = self.size.height - self._titled
        top = self.scroll_offset.y
        if height > 0 and not top <= self._cursor < top + height:
            target = self._cursor if self._cursor < top else self._cursor - height + 1
            self.scroll_to(y=target, animate=False, immediate=True)


class LongListing(Listing):
    """A listing that has the page keys for itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "edge(0)", "First", show=False),
        Binding("end", "edge(1)", "Last", show=False),
    ]
