"""Approvals: what waits for a person, exactly as it would run, and the keys that decide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, cast

from textual import events, on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from deepd.tui import messages
from deepd.tui.call_lines import history_lines
from deepd.tui.card import decisive_lines
from deepd.tui.file_change import FILE_TOOLS, Body, Current
from deepd.tui.gist import title
from deepd.tui.guard import Guard, Paced
from deepd.tui.line import Line, Piece
from deepd.tui.moment import left
from deepd.tui.page import Page, Scrolled, scroll_keys
from deepd.tui.shown import one_line
from deepd.tui.widgets.document import Document
from deepd.tui.widgets.heading import Heading
from deepd.tui.widgets.listing import ALL, Column, Listing, Row
from deepd.tui.world import Json

_COLUMNS = (
    Column("left", "LEFT", least=5, right=True),
    Column("tool", "TOOL", least=7, most=14),
    Column("session", "SESSION", least=7, most=18),
    Column("what", "WHAT", least=4, most=ALL, grows=True, rank=1),
)
_EMPTY = "nothing waits for you\nheld calls appear here"
_READ_ON = "read it to its end first: pgdn"
_SOON = 60.0
Shown = tuple[str, str]
"""What is in front of the person: an approval's id and its fingerprint."""


class ApprovalsPage(Page):
    """The second screen: a narrow list and a wide call."""

    CSS_PATH = "approvals.tcss"
    NUMBER = 1
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "decide('approve')", "Approve", tooltip="Approve once, as shown"),
        Binding("A", "decide('scope')", "Approve for…", tooltip="Approve and remember"),
        Binding("e", "decide('edit')", "Edit", tooltip="Approve with edited arguments"),
        Binding("d", "decide('deny')", "Deny…", tooltip="Deny with a reason"),
        Binding("D", "decide('stop')", "Deny and stop…", tooltip="Deny, end its caller's calls"),
        Binding("space", "mark", "Mark", tooltip="Mark several; a and d act on those"),
        Binding("v", "whole", "Whole", tooltip="Show the change, or the whole new content"),
        *scroll_keys("Read on in the call, and back"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._guard = Guard(lambda: cast("Paced", self.app))
        self._marks: set[str] = set()
        self._read: set[Shown] = set()
        """What has been on screen to its end."""
        self._shown: Shown = ("", "")
        self._whole = False
        self._files: dict[Shown, tuple[Current, Body | None]] = {}
        self._drawn: tuple[object, ...] = ()
        """What the lines were made from that are in front of the person."""
        self._decisive: tuple[Line, ...] = ()

    def body(self) -> Iterable[Widget]:
        """Return the list and the call."""
        with Horizontal(id="split"):
            yield Listing(_COLUMNS, id="held")
            with Vertical(id="call-pane"):
                yield Heading(id="call-title")
                yield Document(id="call")

    def show(self) -> None:
        """Fill the list; the call follows its cursor."""
        pending = {item["id"] for item in self.world.approvals}
        self._marks &= pending
        rows = [
            self._row(item)
            for item in self.world.approvals
            if self.matches(item["tool"], item["session"], item["args"], item["client"])
        ]
        listing = self.query_one("#held", Listing)
        listing.fill(rows, marks=frozenset(self._marks), empty=self.empty_text(_EMPTY))
        self._show_call()

    def tick(self) -> None:
        """Count down."""
        self.show()

    def copied(self) -> str:
        """Return what would run."""
        item = self._item
        return title(item) if item else ""

    def take_file(self, approval: Json, current: Current, body: Body | None) -> None:
        """Take what the daemon said of the file that a call would change."""
        self._files[_key(approval)] = (current, body)
        if self.is_whole:
            self._show_call()

    @property
    def scrolled(self) -> Scrolled:
        """The call."""
        return self.query_one("#call", Document)

    @property
    def _item(self) -> Json | None:
        return self.world.approval(self.query_one("#held", Listing).key)

    @on(Listing.Selected, "#held")
    def _selected(self) -> None:
        self._show_call()

    @on(Document.EndSeen, "#call")
    def _end_seen(self) -> None:
        self._read.add(self._shown)

    def on_screen_resume(self) -> None:
        """Wait again: something else was in front of it."""
        self._guard.reset()
        self.query_one("#call", Document).look_for_end()
        if item := self._item:
            # An answer that came while another screen was in front is lost.
            self._ask_for_file(item)

    def on_app_focus(self, _: events.AppFocus) -> None:
        """Wait again: the person looked at something else."""
        self._guard.reset()

    def on_descendant_focus(self) -> None:
        """Wait again: keys go elsewhere now."""
        self._guard.reset()

    def action_whole(self) -> None:
        """Show the change, or all of the new content."""
        self._whole = not self._whole
        self._show_call()

    def action_mark(self) -> None:
        """Mark the call, or take its mark away."""
        item = self._item
        if item is None:
            return
        if _key(item) not in self._read:
            self.post_message(messages.Refused(_READ_ON))
            return
        self._marks ^= {item["id"]}
        self.show()
        self.query_one("#held", Listing).action_move(1)

    def action_decide(self, answer: messages.Answer) -> None:
        """Answer the call in front, or those that are marked."""
        item = self._item
        if item is None or not self._guard.is_open() or not self.may_change():
            return
        chosen = [item for item in self.world.approvals if item["id"] in self._marks] or [item]
        if self._marks and answer in {"scope", "edit"}:
            why = "several are marked: take the marks away (space), or press a or d"
            self.post_message(messages.Refused(why))
            return
        is_yes = answer in {"approve", "scope"}
        if is_yes and not self._marks and self._shown not in self._read:
            self.post_message(messages.Refused(_READ_ON))
            return
        if not self._marks and self._shown != _key(item):
            return
        self._guard.reset()
        self.post_message(messages.Decide(chosen, answer))

    def lines_of(self, item: Json) -> tuple[Line, ...]:
        """Return what is to be read of a call before it is decided."""
        current, body = self._files.get(_key(item), (None, None))
        return decisive_lines(item, current=current, body=body)

    def _show_call(self) -> None:
        item = self._item
        document = self.query_one("#call", Document)
        heading = self.query_one("#call-title", Heading)
        if item is None:
            self._shown, self._drawn = ("", ""), ()
            heading.pieces = ()
            document.show(())
            return
        heading.pieces = self._heading(item)
        if self._shown != _key(item):
            self._whole = False
            self._ask_for_file(item)
        self._shown = _key(item)
        current, body = self._files.get(_key(item), (None, None))
        drawn = (_key(item), self._whole, current, body)
        is_same = drawn == self._drawn
        if not is_same:
            self._drawn = drawn
            self._decisive = decisive_lines(
                item, current=current, body=body, whole_text=self._whole
            )
            self._guard.reset()
            self._read.discard(_key(item))
        before = [call for call in self.world.calls_of(item["session"]) if call["id"] != item["id"]]
        lines = (*self._decisive, *history_lines(before))
        document.show(lines, matter=len(self._decisive), same=is_same)

    def _ask_for_file(self, item: Json) -> None:
        if item["tool"] in FILE_TOOLS and _key(item) not in self._files:
            self.post_message(messages.ReadFile(item))

    def _heading(self, item: Json) -> tuple[Piece, ...]:
        pieces: list[Piece] = [
            (f" {one_line(item['tool'])}", "title"),
            (f" · {one_line(item['session'])}", ""),
        ]
        if item.get("deadline"):
            seconds = item["deadline"] - self.now
            pieces += [(" · ", ""), (f"{left(seconds)} left", _tone(seconds))]
        if self._marks:
            pieces.append((f" · {len(self._marks)} marked", "accent"))
        return tuple(pieces)

    def _row(self, item: Json) -> Row:
        deadline = item.get("deadline")
        seconds = deadline - self.now if deadline else 0.0
        return Row(
            item["id"],
            {
                "left": (left(seconds), _tone(seconds)) if deadline else ("-", "quiet"),
                "tool": (item["tool"], "bold"),
                "session": (item["session"], ""),
                "what": (title(item), "quiet"),
            },
        )


def _key(item: Json) -> Shown:
    return item["id"], item["fingerprint"]


def _tone(seconds: float) -> str:
    return "bad" if seconds < _SOON else "quiet"
