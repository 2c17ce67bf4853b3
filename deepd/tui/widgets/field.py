"""Field: one line to type in; its cursor stays as everything here does and never blinks."""

from __future__ import annotations

from typing import Any

from textual.widgets import Input


class Field(Input):
    """An input without a blinking cursor."""

    def __init__(self, **options: Any) -> None:
        super().__init__(compact=True, **options)
        self.cursor_blink = False
