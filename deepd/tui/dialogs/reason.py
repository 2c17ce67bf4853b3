"""Reason: why a call is denied, for its caller to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.widget import Widget
from textual.widgets import Input

from deepd.tui.dialogs.dialog import Dialog
from deepd.tui.line import Line
from deepd.tui.widgets.bar import Key
from deepd.tui.widgets.document import Document
from deepd.tui.widgets.field import Field

_MOST = 4096


class Reason(Dialog[str]):
    """Answers with the reason, which may be empty."""

    KEYS: ClassVar[tuple[Key, ...]] = (("⏎", "Deny"), ("esc", "Close"))

    def __init__(self, title: str, lines: Sequence[Line]) -> None:
        super().__init__(title)
        self._lines = lines

    def body(self) -> Iterable[Widget]:
        """Return what is denied, and the field."""
        yield Document(id="dialog-text")
        yield Field(placeholder="why, for the caller: use the test database", max_length=_MOST)

    def on_mount(self) -> None:
        """Fill it; what is typed goes into the field."""
        super().on_mount()
        self.query_one(Document).show(self._lines)
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Deny."""
        event.stop()
        if self.guard.is_open():
            self.dismiss(event.value)
