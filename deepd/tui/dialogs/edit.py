"""Edit: the arguments of a held call, to be approved as the person made them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from deepd.errors import ArgumentsError
from deepd.tui.dialogs.dialog import Dialog
from deepd.tui.dialogs.fields import ExactText
from deepd.tui.shown import one_line
from deepd.tui.widgets.bar import Key
from deepd.tui.world import Json

Submit = Callable[[Json], Awaitable[str]]
"""Approve with these arguments; returns why the daemon refused, or nothing."""

_REST = "other arguments, as JSON"


class Edit(Dialog[bool]):
    """One editor for each text among the arguments, and one for all else; stays until it fits."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "approve", "Approve as edited", priority=True),
        Binding("escape", "close", "Close", priority=True),
    ]
    KEYS: ClassVar[tuple[Key, ...]] = (
        ("ctrl+s", "Approve as edited"),
        ("tab", "Next field"),
        ("esc", "Close"),
    )

    def __init__(self, title: str, args: Json, submit: Submit) -> None:
        super().__init__(title)
        self._texts = {name: value for name, value in args.items() if isinstance(value, str)}
        self._rest = {name: value for name, value in args.items() if name not in self._texts}
        self._submit = submit
        self._is_busy = False

    def body(self) -> Iterable[Widget]:
        """Return the editors."""
        for number, (name, value) in enumerate(self._texts.items()):
            yield Static(Content(one_line(name)), classes="label")
            field = ExactText(value, id=f"text-{number}")
            field.set_class("\n" not in value and len(value) < 60, "-short")
            yield field
        yield Static(Content(_REST), classes="label")
        rest = json.dumps(self._rest, indent=2, ensure_ascii=False) if self._rest else "{}"
        yield ExactText(rest, id="rest").add_class("-short")

    def on_mount(self) -> None:
        """Begin in the first editor."""
        super().on_mount()
        self.query(ExactText).first().focus()

    async def action_approve(self) -> None:
        """Send what is there now; what the daemon refuses is said and stays open."""
        if not self.guard.is_open() or self._is_busy:
            return
        self._is_busy = True
        try:
            refused = await self._submit(self._args())
        except ArgumentsError as error:
            refused = str(error)
        finally:
            self._is_busy = False
        if refused:
            self.refuse(refused)
        elif self.is_current:
            self.dismiss(True)

    def _args(self) -> dict[str, Any]:
        args: dict[str, Any] = {
            name: self.query_one(f"#text-{number}", ExactText).exact
            for number, name in enumerate(self._texts)
        }
        try:
            rest = json.loads(self.query_one("#rest", ExactText).exact or "{}")
        except ValueError as error:
            raise ArgumentsError(f"the other arguments are not JSON: {error}") from None
        if not isinstance(rest, dict):
            raise ArgumentsError("the other arguments are an object: {}")
        return args | rest
