"""Scope: approve this call and remember it, as far as the profile lets a person remember."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from deepd.model.duration import parse_duration
from deepd.tui.dialogs.dialog import Dialog
from deepd.tui.line import Line
from deepd.tui.widgets.bar import Key
from deepd.tui.widgets.document import Document
from deepd.tui.widgets.field import Field
from deepd.tui.widgets.listing import ALL, Column, Listing, Row
from deepd.tui.world import Json

Remember = Callable[[Json], Awaitable[str]]
"""Approve and remember so; returns why the daemon refused, or nothing."""

_COLUMNS = (Column("name", "", least=8), Column("text", "", least=20, most=ALL, grows=True))
_TEXTS = {
    "session": "in this session it is not asked again",
    "profile": "in any session of this profile it is not asked again",
}


class Scope(Dialog[bool]):
    """Offers the scopes that the profile allows, and a number of times; stays until it fits."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "approve", "Approve and remember", priority=True),
        Binding("pagedown", "read(1)", show=False),
        Binding("pageup", "read(-1)", show=False),
    ]
    KEYS: ClassVar[tuple[Key, ...]] = (
        ("ctrl+s", "Approve and remember"),
        ("tab", "Next field"),
        ("pgdn", "Read on"),
        ("esc", "Close"),
    )

    def __init__(
        self,
        title: str,
        lines: Sequence[Line],
        scopes: Sequence[str],
        remember: Remember,
        *,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(title)
        self._clock = clock
        self._lines = lines
        self._scopes = scopes
        self._remember = remember
        self._is_busy = False

    def body(self) -> Iterable[Widget]:
        """Return the call, the scopes and the count."""
        yield Document(id="dialog-text")
        yield Listing(_COLUMNS, titled=False, id="scopes")
        yield Field(placeholder="how many times more; empty: no limit", type="integer", id="count")
        yield Field(placeholder="for how long: 30m, 8h; empty: no end", id="until")

    def on_mount(self) -> None:
        """Fill it."""
        super().on_mount()
        self.query_one(Document).show(self._lines)
        listing = self.query_one(Listing)
        rows = [
            Row(scope, {"name": (scope, "bold"), "text": (_TEXTS.get(scope, ""), "quiet")})
            for scope in self._scopes
        ]
        listing.fill(rows)
        listing.focus()
        if not self._scopes:
            self.refuse("the profile lets nothing be remembered: see approvals.remember in it")

    def action_read(self, pages: int) -> None:
        """Scroll the call."""
        self.query_one(Document).action_scroll_pages(pages)

    async def action_approve(self) -> None:
        """Approve and remember."""
        if not self.query_one(Listing).key or not self.guard.is_open() or self._is_busy:
            return
        if not self.query_one(Document).end_seen:
            self.refuse("read the call to its end first: pgdn")
            return
        try:
            remember = self._wanted()
        except ValueError as error:
            self.refuse(str(error))
            return
        self._is_busy = True
        try:
            refused = await self._remember(remember)
        finally:
            self._is_busy = False
        if refused:
            self.refuse(refused)
        elif self.is_current:
            self.dismiss(True)

    def _wanted(self) -> Json:
        """Return how far it is to be remembered."""
        wanted: Json = {"scope": self.query_one(Listing).key}
        if count := self.query_one("#count", Field).value:
            wanted["count"] = int(count)
        if until := self.query_one("#until", Field).value:
            wanted["until"] = self._clock() + parse_duration(until)
        return wanted
