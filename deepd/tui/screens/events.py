"""Events: what happened, the newest at the end, and all of one on enter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from deepd.tui.dialogs.details import Details
from deepd.tui.moment import of_day
from deepd.tui.page import Page
from deepd.tui.session_lines import event_lines
from deepd.tui.shown import text_of
from deepd.tui.state import outcome, tone_of
from deepd.tui.widgets.listing import ALL, Column, Listing, LongListing, Row
from deepd.tui.world import Json

_COLUMNS = (
    Column("at", "TIME", least=8),
    Column("kind", "WHAT", least=10, most=18),
    Column("session", "SESSION", most=18, rank=2),
    Column("call", "CALL", least=8, rank=4),
    Column("how", "HOW", least=4, most=10, rank=3),
    Column("text", "MORE", least=24, most=ALL, grows=True, rank=1),
)
_EMPTY = "nothing has happened yet\nevents appear here as they happen"
_TONES = {
    "approval_asked": "warn",
    "profile_rejected": "warn",
    "session_failed": "bad",
    "engine_down": "bad",
    "call_denied": "bad",
    "engine_up": "good",
    "sandbox_ready": "good",
}
_FIRST = ("summary", "cause", "reason", "file", "text")


class EventsPage(Page):
    """The fourth screen."""

    CSS_PATH = "events.tcss"
    NUMBER = 3
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "details", "Details", key_display="⏎", tooltip="Show all of an event"),
    ]

    def body(self) -> Iterable[Widget]:
        """Return the table."""
        yield LongListing(_COLUMNS, id="events")

    def show(self) -> None:
        """Fill the table; the end stays in sight for who is there."""
        listing = self.query_one(Listing)
        was_at_end = not listing.keys or listing.key == listing.keys[-1]
        rows = [
            _row(event)
            for event in self.world.events
            if self.matches(event["kind"], event["session"], event["call"], event["data"])
        ]
        listing.fill(rows, empty=self.empty_text(_EMPTY))
        if was_at_end:
            listing.action_edge(1)

    def copied(self) -> str:
        """Return the event as it is on the wire."""
        event = self._event
        return text_of(event) if event else ""

    @property
    def _event(self) -> Json | None:
        key = self.query_one(Listing).key
        return next((event for event in self.world.events if str(event["id"]) == key), None)

    @on(Listing.Chosen)
    def action_details(self) -> None:
        """Show all of the event."""
        event = self._event
        if event:
            self.app.push_screen(Details(f"event {event['id']}", event_lines(event)))


def _row(event: Json) -> Row:
    data: Json = event.get("data") or {}
    facts = [text_of(data[name]) for name in _FIRST if data.get(name) not in (None, "")]
    kind = event["kind"]
    tone = _TONES.get(kind) or (tone_of(str(data.get("state"))) if "decided" in kind else "")
    return Row(
        str(event["id"]),
        {
            "at": (of_day(event["at"]), "quiet"),
            "kind": (kind.replace("_", " "), tone),
            "session": (event.get("session") or "-", "" if event.get("session") else "quiet"),
            "call": (str(event.get("call") or "-")[:8], "quiet"),
            "how": outcome(data) if data.get("state") else ("-", "quiet"),
            "text": (", ".join(facts), "quiet"),
        },
    )
