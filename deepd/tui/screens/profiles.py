"""Profiles: how each file is doing, its errors with their caret, and what is in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget

from deepd.config.problem import Problem, render
from deepd.model.profile import Position
from deepd.tui import messages
from deepd.tui.line import Line
from deepd.tui.moment import of_day
from deepd.tui.page import Page, Scrolled, scroll_keys
from deepd.tui.session_lines import pairs
from deepd.tui.state import tone_of
from deepd.tui.widgets.document import Document
from deepd.tui.widgets.listing import Column, Listing, Row
from deepd.tui.world import Json

_COLUMNS = (
    Column("name", "PROFILE", least=8, most=20, grows=True),
    Column("state", "STATE", least=6),
)
_EMPTY = "no profiles\nwrite one with: deepd init"


class ProfilesPage(Page):
    """The fifth screen."""

    CSS_PATH = "profiles.tcss"
    NUMBER = 4
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "plan", "Plan", tooltip="Show what a reload would do"),
        Binding("R", "reload", "Reload", tooltip="Read the profiles again"),
        Binding("E", "edit", "Edit", tooltip="Open the file in $EDITOR"),
        *scroll_keys("Read on in what is said of it, and back"),
    ]

    def body(self) -> Iterable[Widget]:
        """Return the list and what there is to say of one."""
        with Horizontal(id="split"):
            yield Listing(_COLUMNS, id="profiles")
            yield Document(id="profile")

    def show(self) -> None:
        """Fill the list."""
        rows = [
            Row(
                str(item["file"]),
                {
                    "name": (item["name"], "bold"),
                    "state": (item["state"].upper(), tone_of(item["state"]))
                    if item["state"] != "ready"
                    else ("ready", "good"),
                },
            )
            for item in self.world.profiles
            if self.matches(item["name"], item["file"], item["state"])
        ]
        self.query_one(Listing).fill(rows, empty=self.empty_text(_EMPTY))
        self._show_one()

    def copied(self) -> str:
        """Return the first error's place, else the file."""
        item = self._item
        if item is None:
            return ""
        for problem in item.get("problems") or ():
            return f"{problem['file']}:{problem['line']}:{problem['column']}"
        return str(item["file"])

    @property
    def scrolled(self) -> Scrolled:
        """What is said of a profile."""
        return self.query_one(Document)

    @property
    def _item(self) -> Json | None:
        key = self.query_one(Listing).key
        return next((item for item in self.world.profiles if str(item["file"]) == key), None)

    @on(Listing.Selected)
    def _show_one(self) -> None:
        item = self._item
        lines = tuple(profile_lines(item, self.world)) if item else ()
        document = self.query_one(Document)
        if lines != document.lines:
            document.show(lines)

    def action_plan(self) -> None:
        """Show the plan."""
        self.post_message(messages.ShowPlan())

    def action_reload(self) -> None:
        """Read the profiles again."""
        if self.may_change():
            self.post_message(messages.Reload())

    def action_edit(self) -> None:
        """Open the file."""
        item = self._item
        if item and self.may_change():
            self.post_message(messages.EditFile(str(item["file"])))


def profile_lines(item: Json, world: object) -> Iterator[Line]:
    """Yield how a profile is doing."""
    sessions = [each for each in getattr(world, "sessions", ()) if each["profile"] == item["name"]]
    problems = item.get("problems") or ()
    if item["state"] == "stale":
        yield Line("the file has errors; its last good version is in force", "warn")
    elif item["state"] == "broken":
        yield Line("the file has errors, and no version of it was ever good", "bad")
    yield from pairs(
        [
            ("file", item["file"]),
            ("revision", str(item.get("revision", ""))[:12]),
            ("read at", of_day(item["loaded_at"]) if item.get("loaded_at") else ""),
            ("sessions", ", ".join(each["name"] for each in sessions)),
        ]
    )
    for problem in problems:
        yield Line("")
        yield from problem_lines(problem)


def problem_lines(problem: Json) -> Iterator[Line]:
    """Yield a problem as `deepd check` prints it."""
    found = Problem(
        Position(str(problem["file"]), int(problem["line"]), int(problem["column"])),
        str(problem["message"]),
        str(problem.get("source", "")),
        int(problem.get("length", 0)),
        str(problem.get("hint", "")),
    )
    for number, text in enumerate(render(found).split("\n")):
        yield Line(text, "bad" if number == 0 else "accent" if "^" in text else "")
