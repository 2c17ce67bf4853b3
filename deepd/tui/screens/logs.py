"""Logs: what one or several sessions print, followed, searched in the daemon, exported whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input

from deepd.tui import messages
from deepd.tui.line import Piece
from deepd.tui.page import Page, Scrolled, scroll_keys
from deepd.tui.shown import one_line
from deepd.tui.state import tone_of
from deepd.tui.widgets.heading import Heading
from deepd.tui.widgets.listing import Column, Listing, Row
from deepd.tui.widgets.log_view import LogView
from deepd.tui.world import Json

_COLUMNS = (
    Column("name", "SESSION", least=8, most=20, grows=True),
    Column("state", "STATE", least=5, most=9),
)
_EMPTY = "no sessions yet"


class LogsPage(Page):
    """The third screen."""

    CSS_PATH = "logs.tcss"
    NUMBER = 2
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "only", "Only this", key_display="⏎", tooltip="Follow only this session"),
        Binding("space", "add", "Add", tooltip="Follow this session too, or not any more"),
        Binding("f", "follow", "Follow", tooltip="Follow the end, or stay"),
        Binding("slash", "search", "Search", key_display="/", priority=True,
                tooltip="Search in the daemon; re:… is a regular expression"),
        Binding("n", "next(1)", "Next", show=False, tooltip="The next line that was found"),
        Binding("N", "next(-1)", "Before", show=False, tooltip="The one before"),
        Binding("w", "wrap", "Wrap", tooltip="Wrap long lines, or not"),
        Binding("t", "times", "Times", tooltip="Show times, or not"),
        Binding("ctrl+s", "export", "Export", key_display="^s",
                tooltip="Write all that is kept to a file"),
        *scroll_keys("Read on in the log, and back"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.sessions: tuple[str, ...] = ()
        """Those that are followed."""
        self.search_text = ""
        self._new = ""
        """The session that the cursor goes to once it is in the list."""

    def body(self) -> Iterable[Widget]:
        """Return the list of sessions and the log."""
        with Horizontal(id="split"):
            yield Listing(_COLUMNS, id="followed")
            with Vertical(id="log-pane"):
                yield Heading(id="log-title")
                yield LogView(id="log")

    def show(self) -> None:
        """Fill the list; begin with the session under the cursor."""
        rows = [
            Row(item["name"], {"name": (item["name"], ""), "state": _state(item)})
            for item in self.world.sessions
        ]
        listing = self.query_one(Listing)
        listing.fill(rows, marks=frozenset(self.sessions), empty=self.empty_text(_EMPTY))
        if self._new in listing.keys:
            listing.select(self._new)
            self._new = ""
        if not self.sessions and listing.key and self.is_current:
            self.follow((listing.key,))
        self._show_title()

    def on_screen_resume(self) -> None:
        """Begin to follow once somebody looks."""
        self.show()

    def copied(self) -> str:
        """Return the line that the search is at, or the last one."""
        return self._log.chosen

    def follow(self, sessions: Sequence[str], search: str | None = None) -> None:
        """Ask for these sessions' lines; they come by `take_lines`."""
        self.sessions = tuple(sessions)
        self.search_text = self.search_text if search is None else search
        self.post_message(messages.OpenLogs(self.sessions, self.search_text))

    def begin(self, sessions: Sequence[str], search: str) -> None:
        """Take lines of these sessions from now on."""
        self.sessions, self.search_text = tuple(sessions), search
        log = self._log
        log.clear()
        log.names = len(sessions) > 1
        log.follows = True
        self._new = sessions[-1] if sessions else ""
        self.show()

    def take_lines(self, lines: Sequence[tuple[str, Json]]) -> None:
        """Take a batch."""
        if self.is_whole:
            self._log.extend(lines)
            self._show_title()

    def drop_lines(self, session: str) -> None:
        """Forget what a session printed: it comes again."""
        if self.is_whole:
            self._log.drop(session)

    @property
    def scrolled(self) -> Scrolled:
        """The log."""
        return self._log

    @property
    def _log(self) -> LogView:
        return self.query_one(LogView)

    @on(LogView.Followed)
    def _show_title(self) -> None:
        names = ", ".join(self.sessions) or "-"
        pieces: list[Piece] = [(f" {one_line(names)}", "title")]
        if self.search_text:
            pieces.append((f" · found: {one_line(self.search_text)}", "accent"))
        log = self._log
        pieces.append((" · following" if log.follows else " · stays here (f follows)", "quiet"))
        pieces.append((f" · {log.received:,} line{'' if log.received == 1 else 's'}", "quiet"))
        self.query_one("#log-title", Heading).pieces = tuple(pieces)

    @on(Listing.Chosen)
    def action_only(self) -> None:
        """Follow only this one."""
        if key := self.query_one(Listing).key:
            self.follow((key,))

    def action_add(self) -> None:
        """Follow this one too, or not any more."""
        key = self.query_one(Listing).key
        if not key:
            return
        others = tuple(name for name in self.sessions if name != key)
        self.follow(others if key in self.sessions and others else (*others, key))

    def action_follow(self) -> None:
        """Follow the end, or stay."""
        self._log.follows = not self._log.follows

    def action_search(self) -> None:
        """Open the field of the search."""
        field = self.query_one("#filter", Input)
        field.placeholder = "search in the daemon; re:… is a regular expression"
        self.action_filter()

    def set_filter(self, text: str) -> None:
        """Do nothing while it is typed: the daemon searches once."""

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Search."""
        super().on_input_submitted(event)
        if self.sessions:
            self.follow(self.sessions, event.value)

    def action_clear_filter(self) -> None:
        """Show all lines again."""
        super().action_clear_filter()
        if self.search_text:
            self.follow(self.sessions, "")

    def action_next(self, step: int) -> None:
        """Go through what was found."""
        self._log.search(step)

    def action_wrap(self) -> None:
        """Wrap, or not."""
        self._log.wraps = not self._log.wraps

    def action_times(self) -> None:
        """Show the times, or not."""
        self._log.times = not self._log.times

    def action_export(self) -> None:
        """Write all to files."""
        if self.sessions:
            self.post_message(messages.ExportLogs(self.sessions))


def _state(item: Json) -> Piece:
    return item["state"], tone_of(item["state"])
