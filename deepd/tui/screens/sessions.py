"""Sessions: who is there, in what state, what it uses, what it did last."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from deepd.tui import messages
from deepd.tui.dialogs import ask
from deepd.tui.gist import command_text, title
from deepd.tui.line import Piece
from deepd.tui.moment import left, short, size
from deepd.tui.page import Page
from deepd.tui.state import outcome, tone_of
from deepd.tui.widgets.listing import ALL, Column, Listing, LongListing, Row
from deepd.tui.world import Json

_COLUMNS = (
    Column("name", "NAME", most=24),
    Column("profile", "PROFILE", most=16, rank=5),
    Column("state", "STATE", least=8, most=24),
    Column("engine", "ENGINE", rank=8),
    Column("cpu", "CPU", least=5, right=True, rank=4),
    Column("memory", "MEM", least=9, right=True, rank=6),
    Column("idle", "IDLE IN", right=True, rank=7),
    Column("running", "RUNNING", least=18, most=ALL, grows=True, rank=2),
    Column("last", "LAST", least=8, most=30, rank=1),
)
_SORTS: dict[str, Callable[[Json], tuple[object, ...]]] = {
    "name": lambda item: (item["name"],),
    "state": lambda item: (item["state"] not in {"failed", "held"}, item["state"], item["name"]),
    "last active": lambda item: (-item["last_active"], item["name"]),
}
_EMPTY = "no sessions yet\nname some in a profile, or run a command: deepd exec NAME -- true"
_TROUBLED = frozenset({"failed", "waiting", "no profile"})
_BAR = 8
_PARTS = " ▏▎▍▌▋▊▉"


class SessionsPage(Page):
    """The first screen."""

    CSS_PATH = "sessions.tcss"
    NUMBER = 0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "details", "Details", key_display="⏎", tooltip="Show all of a session"),
        Binding("l", "logs", "Logs", tooltip="Follow what it prints"),
        Binding("s", "shell", "Shell", tooltip="Open a terminal in it; leave it to return"),
        Binding("p", "pause", "Pause", tooltip="Freeze its processes, or thaw them"),
        Binding("x", "stop", "Stop", tooltip="Stop its sandbox, or start it again"),
        Binding("X", "remove", "Remove", tooltip="Remove it; its workspace stays"),
        Binding("o", "sort", "Sort", tooltip="Sort by name, state or last use"),
    ]

    sort = "name"

    def body(self) -> Iterable[Widget]:
        """Return the table."""
        yield LongListing(_COLUMNS, id="sessions")

    def show(self) -> None:
        """Fill the table."""
        chosen = [
            item
            for item in self.world.sessions
            if self.matches(item["name"], item["profile"], item["state"])
        ]
        rows = [self._row(item) for item in sorted(chosen, key=_SORTS[self.sort])]
        self.query_one(Listing).fill(rows, empty=self.empty_text(_EMPTY))

    def tick(self) -> None:
        """Let what is left of idle times go on."""
        self.show()

    def copied(self) -> str:
        """Return the session's name."""
        return self._chosen

    @property
    def _chosen(self) -> str:
        return self.query_one(Listing).key

    def _row(self, item: Json) -> Row:
        stats = self.world.stats.get(item["name"]) or {}
        memory = f"{size(stats['memory'])}/{size(stats['memory_limit'])}" if stats else "-"
        return Row(
            item["name"],
            {
                "name": (item["name"], "bold"),
                "profile": (item["profile"], ""),
                "state": _state(item),
                "engine": _engine(item),
                "cpu": (f"{stats['cpu'] * 100:.1f}%" if stats else "-", "" if stats else "quiet"),
                "memory": (memory, "" if stats else "quiet"),
                "idle": self._idle(item),
                "running": self._running_call(item),
                "last": self._last(item),
            },
        )

    def _idle(self, item: Json) -> Piece:
        at = item.get("idle_at")
        return (short(at - self.now), "") if at else ("-", "quiet")

    def _running_call(self, item: Json) -> Piece:
        if item.get("progress") is not None:
            return _progress(float(item["progress"])), "accent"
        if item["state"] in _TROUBLED and item.get("cause"):
            return item["cause"], tone_of(item["state"])
        for call in self.world.calls_of(item["name"]):
            if call["state"] in {"sent", "running"}:
                return title(call), ""
        held = self._held(item)
        return (title(held), "warn") if held else ("-", "quiet")

    def _held(self, item: Json) -> Json | None:
        """Return the held call of the session that has the least time left."""
        held = [held for held in self.world.approvals if held["session"] == item["name"]]
        return min(held, key=lambda one: one.get("deadline") or math.inf, default=None)

    def _last(self, item: Json) -> Piece:
        held = self._held(item)
        if held and held.get("deadline"):
            return f"{left(held['deadline'] - self.now)} left", "warn"
        for call in self.world.calls_of(item["name"]):
            if call.get("ended_at"):
                ended, tone = outcome(call)
                what = command_text(call["args"]) if call["tool"] == "execute" else call["tool"]
                ended = "" if call["state"] == "finished" and not call.get("exit_code") else ended
                return f"{ended + '  ' if ended else ''}{what}", tone
        return (
            f"{short(self.now - item['last_active'])} ago" if item["last_active"] else "-"
        ), "quiet"

    def action_sort(self) -> None:
        """Sort by the next column."""
        names = list(_SORTS)
        self.sort = names[(names.index(self.sort) + 1) % len(names)]
        self.show()
        self.notify(f"sorted by {self.sort}", markup=False, timeout=2)

    @on(Listing.Chosen)
    def action_details(self) -> None:
        """Show all that is known of the session."""
        item = self.world.session(self._chosen)
        if item:
            calls = self.world.calls_of(item["name"])
            self.app.push_screen(ask.session(item, calls, now=self.now))

    def action_logs(self) -> None:
        """Follow the session."""
        if self._chosen:
            self.post_message(messages.OpenLogs((self._chosen,)))

    def action_shell(self) -> None:
        """Open a terminal in it."""
        if self._chosen and self.may_change():
            self.post_message(messages.OpenShell(self._chosen))

    def action_pause(self) -> None:
        """Freeze or thaw."""
        item = self.world.session(self._chosen)
        if item and self.may_change():
            verb: messages.Verb = "resume" if item["state"] in {"paused", "pausing"} else "pause"
            self.post_message(messages.ChangeSession(item["name"], verb))

    def action_stop(self) -> None:
        """Stop or start."""
        item = self.world.session(self._chosen)
        if item and self.may_change():
            verb: messages.Verb = "start" if item["state"] == "stopped" else "stop"
            self.post_message(messages.ChangeSession(item["name"], verb))

    def action_remove(self) -> None:
        """Remove it, once that is confirmed."""
        if self._chosen and self.may_change():
            self.post_message(messages.ChangeSession(self._chosen, "remove"))


def _engine(item: Json) -> Piece:
    """Name the engine, and what it does not hold: that nothing isolates, or no limit."""
    isolation = str(item.get("isolation") or "")
    if isolation.startswith("none"):
        return f"{item['engine']}: none", "bad"
    return item.get("engine") or "-", "warn" if isolation.startswith("no ") else "quiet"


def _state(item: Json) -> Piece:
    state = item["state"]
    if state == "held":
        return f"held ({item['held']})", "warn"
    if state == "pulling" and item.get("progress") is not None:
        return f"pulling {item['progress']:.0%}", "accent"
    idle = ", idle" if state == "stopped" and str(item.get("cause")).startswith("idle") else ""
    return f"{state}{idle}{', stale' if item.get('stale') else ''}", tone_of(state)


def _progress(part: float) -> str:
    eighths = round(max(0.0, min(1.0, part)) * _BAR * 8)
    return ("█" * (eighths // 8) + _PARTS[eighths % 8]).rstrip()
