"""Confirm: says what would be destroyed; `y` does it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from deepd.tui.dialogs.dialog import Dialog
from deepd.tui.line import Line
from deepd.tui.widgets.bar import Key
from deepd.tui.widgets.document import Document


class Confirm(Dialog[bool]):
    """Answers `True` for `y`, after a moment in which no key counts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "Yes"),
        Binding("n", "close", "No"),
    ]
    KEYS: ClassVar[tuple[Key, ...]] = (("y", "Yes"), ("n", "No"), ("esc", "Close"))

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__(title)
        self._lines = lines

    def body(self) -> Iterable[Widget]:
        """Return what it says."""
        yield Document(id="dialog-text")

    def on_mount(self) -> None:
        """Fill it."""
        super().on_mount()
        self.query_one(Document).show([Line(text) for text in self._lines])

    def action_yes(self) -> None:
        """Do it."""
        if self.guard.is_open():
            self.dismiss(True)
