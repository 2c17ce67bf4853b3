"""Dialog: a box over the screen. Escape closes it and nothing else happens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Generic, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from deepd.model.visible import visible
from deepd.tui.guard import Guard, Paced
from deepd.tui.shown import one_line
from deepd.tui.widgets.bar import Key, KeyBar
from deepd.tui.widgets.painted import TONE_CLASSES

T = TypeVar("T")


class Dialog(ModalScreen[T | None], Generic[T]):
    """A title, a body, a line for errors, the keys; its answer is `None` unless it was meant."""

    CSS_PATH = "dialog.tcss"
    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", key_display="esc"),
    ]
    KEYS: ClassVar[tuple[Key, ...]] = (("esc", "Close"),)

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self.guard = Guard(lambda: cast("Paced", self.app))

    def compose(self) -> ComposeResult:
        """Stack title, body, error and keys."""
        with Vertical(id="dialog"):
            yield Static(Content(one_line(self._title)), id="dialog-title")
            yield from self.body()
            yield Static(Content(""), id="dialog-error")
            yield KeyBar(id="dialog-keys")

    def body(self) -> Iterable[Widget]:
        """Return what is between title and keys."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Say what the keys do; nothing decides in the first moment."""
        bar = self.query_one(KeyBar)
        bar.helps, bar.keys = False, self.KEYS
        self.guard.reset()

    def on_app_focus(self, _: events.AppFocus) -> None:
        """Wait again after the terminal came back."""
        self.guard.reset()

    def action_close(self) -> None:
        """Close it; nothing happens."""
        self.dismiss(None)

    def refuse(self, why: str) -> None:
        """Show why it is still open."""
        self.query_one("#dialog-error", Static).update(Content(visible(why)))
        self.query_one("#dialog").set_class(bool(why), "-refused")
