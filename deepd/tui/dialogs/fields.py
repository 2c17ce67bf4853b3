"""Fields: text to be edited, in which no character is hidden."""

from __future__ import annotations

from textual import events
from textual.widgets import TextArea

from deepd.errors import ArgumentsError
from deepd.model.visible import from_visible, visible

MAX_TEXT = 1 << 20
"""Characters that a request may have in one text."""


class ExactText(TextArea):
    """An editor for a text of any origin: what cannot be seen is spelled out as `\\u{…}`.

    The same is decoded again, so that a text that nobody changes stays what it was.
    """

    def __init__(self, text: str, *, id: str) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(visible(text), id=id, soft_wrap=True, show_line_numbers=False)
        self.cursor_blink = False

    @property
    def exact(self) -> str:
        """The text that it stands for."""
        try:
            text = from_visible(self.text)
        except ValueError:
            raise ArgumentsError("a \\u{…} in it names no character") from None
        if len(text) > MAX_TEXT:
            raise ArgumentsError(f"it is longer than {MAX_TEXT} characters")
        return text

    async def _on_paste(self, event: events.Paste) -> None:
        event.text = visible(event.text)
        await super()._on_paste(event)
