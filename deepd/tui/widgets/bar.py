"""Bars: lines that are always there, one for what is the case, one for the keys."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from deepd.tui.cells import cut, width
from deepd.tui.line import Piece
from deepd.tui.moment import of_day
from deepd.tui.shown import one_line
from deepd.tui.state import tone_of
from deepd.tui.widgets.painted import Painted
from deepd.tui.world import World

PAGES = ("Sessions", "Approvals", "Logs", "Events", "Profiles")
Key = tuple[str, str]


class StatusBar(Painted, can_focus=False):
    """Daemon, engine, counts, and what is wrong; the clock at the right."""

    world: reactive[World] = reactive(World(), init=False)
    now: reactive[float] = reactive(0.0)
    read_only: reactive[bool] = reactive(False)

    def render_line(self, y: int) -> Strip:
        """Draw it: the badges come first where there is little room."""
        clock = f"{of_day(self.now)} "
        room = self.size.width - len(clock) - 1
        pieces: list[Piece] = []
        for piece in self._pieces():
            text = cut(piece[0], room)
            room -= width(text)
            pieces.append((text, piece[1]))
        pieces.append((" " * (room + 1), ""))
        return self.paint([*pieces, (clock, "quiet")], self.size.width)

    def _pieces(self) -> list[Piece]:
        world = self.world
        pieces: list[Piece] = [(" ", ""), ("deepd   ", "title")]
        if self.read_only:
            pieces.append(("READ ONLY   ", "accent"))
        pieces += self._badges()
        if world.loaded:
            engine = world.engine
            state = engine.get("state", "up") if world.connected else "?"
            pieces += [("● ", tone_of(state)), (f"{one_line(engine.get('name', ''))}   ", "")]
            pieces.append((_count(len(world.sessions), "session"), "quiet"))
        if world.loaded and not world.connected:
            pieces.append((f"   {one_line(world.trouble)}", "quiet"))
        return pieces

    def _badges(self) -> list[Piece]:
        world = self.world
        if not world.connected:
            return [("DISCONNECTED   ", "bad")] if world.loaded or world.trouble else []
        found: list[Piece] = []
        if world.engine.get("state") == "down":
            found.append(("ENGINE DOWN   ", "bad"))
        if world.approvals:
            found.append((f"{len(world.approvals)} pending   ", "warn"))
        stale = [item for item in world.profiles if item["state"] != "ready"]
        if stale:
            found.append((f"⚠ STALE CONFIG {_place(stale[0])}   ", "warn"))
        return found


def _place(profile: dict[str, object]) -> str:
    problems = profile.get("problems")
    first = problems[0] if isinstance(problems, list) and problems else {}
    name = str(profile.get("file", "")).rpartition("/")[2]
    place = (
        f"{name}:{first['line']}:{first['column']}" if isinstance(first, dict) and first else name
    )
    return one_line(place)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


class Tabs(Painted, can_focus=False):
    """The five screens; a click goes to one."""

    current: reactive[int] = reactive(0)
    pending: reactive[int] = reactive(0)

    class Wanted(Message):
        """Somebody wants to see a screen."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def render_line(self, y: int) -> Strip:
        """Draw the names, as far apart as there is room."""
        pieces: list[Piece] = [(" ", "")]
        for number, label in enumerate(self._labels()):
            chosen = number == self.current
            pieces.append((f"{number + 1} ", "accent" if chosen else "quiet"))
            pieces.append((label, "title" if chosen else "quiet"))
            pieces.append((self._gap(), ""))
        return self.paint(pieces, self.size.width)

    def _labels(self) -> list[str]:
        dot = f" •{self.pending}" if self.pending else ""
        return [name + (dot if name == "Approvals" else "") for name in PAGES]

    def _gap(self) -> str:
        used = 1 + sum(len(label) + 2 for label in self._labels())
        return " " * max(1, min(3, (self.size.width - used) // (len(PAGES) - 1)))

    def on_click(self, event: events.Click) -> None:
        """Find the name that was clicked."""
        end = 1
        for number, label in enumerate(self._labels()):
            end += len(label) + 2 + len(self._gap())
            if event.x < end:
                self.post_message(self.Wanted(number))
                return


class KeyBar(Painted, can_focus=False):
    """What the keys do; nothing here can be clicked, so that no click decides anything."""

    keys: reactive[Sequence[Key]] = reactive((), init=False)
    helps: reactive[bool] = reactive(True, init=False)
    """Whether `?` helps here."""

    def render_line(self, y: int) -> Strip:
        """Draw as many as fit; the help is always there."""
        pieces: list[Piece] = [(" ", "")]
        room = self.size.width - 1
        help_size = len("? Help") if self.helps else -3
        for key, label in self.keys:
            size = len(key) + len(label) + 1
            if size + 3 + help_size > room:
                continue
            pieces += [(f"{key} ", "accent"), (f"{label}   ", "quiet")]
            room -= size + 3
        if self.helps:
            pieces += [("? ", "accent"), ("Help", "quiet")]
        return self.paint(pieces, self.size.width)
