"""Many: several marked calls one under the other; each has to be read before all are approved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widget import Widget

from deepd.tui.dialogs.dialog import Dialog
from deepd.tui.line import Line
from deepd.tui.widgets.bar import Key
from deepd.tui.widgets.document import Document


class Many(Dialog[bool]):
    """Answers `True` for `a`, once the end of the last call has been on screen.

    What waits behind the first page is only reached by scrolling through all of it: `end` does
    not jump here.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "approve", "Approve these"),
        Binding("end", "nothing", show=False, priority=True),
    ]
    KEYS: ClassVar[tuple[Key, ...]] = (
        ("a", "Approve these"),
        ("pgdn", "Read on"),
        ("esc", "Close"),
    )

    def __init__(self, title: str, lines: Sequence[Line]) -> None:
        super().__init__(title)
        self._lines = lines

    def body(self) -> Iterable[Widget]:
        """Return the calls."""
        yield Document(id="dialog-text")

    def on_mount(self) -> None:
        """Fill it."""
        super().on_mount()
        self.query_one(Document).show(self._lines)

    def on_screen_resume(self, _: events.ScreenResume) -> None:
        """Wait again after something else was in front."""
        self.guard.reset()

    def action_nothing(self) -> None:
        """Do nothing."""

    def action_approve(self) -> None:
        """Approve them."""
        if not self.query_one(Document).end_seen:
            self.refuse("read on to the end first: pgdn")
        elif self.guard.is_open():
            self.dismiss(True)
