"""Details: a document to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from deepd.tui.dialogs.dialog import Dialog
from deepd.tui.line import Line
from deepd.tui.widgets.bar import Key
from deepd.tui.widgets.document import Document


class Details(Dialog[None]):
    """Shows lines until it is closed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,enter", "close", "Close", show=False),
    ]
    KEYS: ClassVar[tuple[Key, ...]] = (("↑↓ pgup pgdn", "Scroll"), ("esc", "Close"))

    def __init__(self, title: str, lines: Sequence[Line]) -> None:
        super().__init__(title)
        self._lines = lines

    def body(self) -> Iterable[Widget]:
        """Return the document."""
        yield Document(id="dialog-text")

    def on_mount(self) -> None:
        """Fill it."""
        super().on_mount()
        self.query_one(Document).show(self._lines)
