"""Scope: approve this call and remember it, as far as the profile lets a person remember."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from deepd.tui.dialogs.dialog import Dialog
from deepd.tui.widgets.bar import Key
from deepd.tui.widgets.document import Document, Line
from deepd.tui.widgets.field import Field
from deepd.tui.widgets.listing import Column, Listing, Row
from deepd.tui.world import Json

Remember = Callable[[Json], Awaitable[str]]
"""Approve and remember so; returns why the daemon refused, or nothing."""

_COLUMNS = (Column("name", "", least=8), Column("text", "", least=20, grows=True))
_TEXTS = {
    "session": "the same call in this session is not asked again",
    "profile": "the same call in any session of this profile is not asked again",
}


class Scope(Dialog[bool]):
    """Offers the scopes that the profile allows, and a number of times; stays until it fits."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "approve", "Approve and remember", priority=True),
    ]
    KEYS: ClassVar[tuple[Key, ...]] = (
        ("ctrl+s", "Approve and remember"),
        ("tab", "Times"),
        ("esc", "Close"),
    )

    def __init__(
        self, title: str, lines: Sequence[Line], scopes: Sequence[str], remember: Remember
    ) -> None:
        super().__init__(title)
        self._lines = lines
        self._scopes = scopes
        self._remember = remember
        self._is_busy = False

    def body(self) -> Iterable[Widget]:
        """Return the call, the scopes and the count."""
        yield Document(id="dialog-text")
        yield Listing(_COLUMNS, titled=False, id="scopes")
        yield Field(placeholder="how many times at most; empty: no limit", type="integer")

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

    async def action_approve(self) -> None:
        """Approve and remember."""
        scope, count = self.query_one(Listing).key, self.query_one(Input).value
        if not scope or not self.guard.is_open() or self._is_busy:
            return
        if not self.query_one(Document).end_seen:
            self.refuse("read the call to its end first")
            return
        remember: Json = {"scope": scope} | ({"count": int(count)} if count else {})
        self._is_busy = True
        try:
            refused = await self._remember(remember)
        finally:
            self._is_busy = False
        if refused:
            self.refuse(refused)
        elif self.is_current:
            self.dismiss(True)
