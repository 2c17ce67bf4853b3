"""Page: what the five screens share: the bars, the filter, and the world handed down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from deepd.tui import messages
from deepd.tui.shown import text_of
from deepd.tui.widgets.bar import KeyBar, StatusBar, Tabs
from deepd.tui.widgets.field import Field
from deepd.tui.widgets.painted import TONE_CLASSES
from deepd.tui.world import World

READ_ONLY = "this dashboard only looks: it was started with --read-only"


class Scrolled(Protocol):
    """What a screen's page keys scroll, wherever the focus is."""

    def action_scroll_pages(self, pages: int) -> None:
        """Scroll by pages."""

    def action_scroll_edge(self, end: int) -> None:
        """Scroll to the top, or to the end."""


def scroll_keys(tooltip: str) -> list[Binding]:
    """Return the page keys of a screen that has something to scroll beside its list."""
    return [
        Binding("pagedown", "scroll_pages(1)", show=False, key_display="pgdn", tooltip=tooltip),
        Binding("pageup", "scroll_pages(-1)", show=False, key_display="pgup", tooltip=tooltip),
        Binding("home", "scroll_edge(0)", show=False, tooltip=tooltip),
        Binding("end", "scroll_edge(1)", show=False, tooltip=tooltip),
    ]


def bindings_of(page: type[Screen[None]]) -> list[Binding]:
    """Return a screen's keys, its own before those that all have."""
    groups = [cls.__dict__.get("BINDINGS", ()) for cls in page.__mro__ if issubclass(cls, Page)]
    found: dict[str, Binding] = {}
    for binding in (item for group in groups for item in group if isinstance(item, Binding)):
        found.setdefault(binding.key, binding)
    return list(found.values())


class Page(Screen[None]):
    """One screen; the app sets `world` and `now`, and hears of what is wanted by messages."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]  # noqa: RUF012 - as Textual has it
    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority, so that the field has the focus before the next key is looked at.
        Binding("slash", "filter", "Filter", key_display="/", priority=True,
                tooltip="Show only what has a text"),
        Binding("y", "copy", "Copy", show=False, tooltip="Copy what is chosen"),
        Binding("escape", "clear_filter", "Clear", show=False, key_display="esc",
                tooltip="Show all again"),
    ]  # fmt: skip
    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    NUMBER = 0
    """Which of the tabs it is."""

    world: reactive[World] = reactive(World(), init=False)
    now: reactive[float] = reactive(0.0, init=False)

    read_only: reactive[bool] = reactive(False, init=False)

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""

    def compose(self) -> ComposeResult:
        """Stack the bars around the page's own part."""
        yield StatusBar(id="status")
        yield Tabs(id="tabs")
        with Vertical(id="body"):
            yield from self.body()
        yield Field(placeholder="show only what has this text", id="filter")
        yield KeyBar(id="keys")

    def body(self) -> Iterable[Widget]:
        """Return what is between the bars."""
        raise NotImplementedError

    def show(self) -> None:
        """Draw the world anew."""
        raise NotImplementedError

    def tick(self) -> None:
        """Draw what changes with the time alone."""

    def copied(self) -> str:
        """Return what `y` copies."""
        return ""

    @property
    def scrolled(self) -> Scrolled | None:
        """What `scroll_keys` scroll."""
        return None

    def action_scroll_pages(self, pages: int) -> None:
        """Scroll it by pages."""
        if self.scrolled:
            self.scrolled.action_scroll_pages(pages)

    def action_scroll_edge(self, end: int) -> None:
        """Scroll it to its top, or to its end."""
        if self.scrolled:
            self.scrolled.action_scroll_edge(end)

    def on_mount(self) -> None:
        """Fill the bars."""
        tabs = self.query_one(Tabs)
        tabs.current = self.NUMBER
        self.query_one(KeyBar).keys = [
            (binding.key_display or binding.key, binding.description)
            for binding in bindings_of(type(self))
            if binding.show
        ]
        self.query_one("#status", StatusBar).now = self.now
        self.post_message(messages.PageReady())

    @property
    def is_whole(self) -> bool:
        """Whether its widgets are there: neither before it is mounted nor while the app ends."""
        return self.is_mounted and self.app.is_running

    def watch_world(self, world: World) -> None:
        """Hand the world on."""
        if self.is_whole:
            status = self.query_one("#status", StatusBar)
            status.read_only, status.world = self.read_only, world
            self.query_one(Tabs).pending = len(world.approvals)
            self.show()

    def watch_now(self, now: float) -> None:
        """Let the clock go on."""
        if self.is_whole:
            self.query_one("#status", StatusBar).now = now
            self.tick()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key acts: what opens the filter is a character once it is open."""
        is_typing = isinstance(self.focused, Input)
        return not (is_typing and action in {"filter", "search"})

    def action_filter(self) -> None:
        """Open the filter; what is typed next goes into it."""
        field = self.query_one("#filter", Input)
        field.add_class("-open")
        self.set_focus(field)

    def action_clear_filter(self) -> None:
        """Show all again."""
        field = self.query_one("#filter", Input)
        field.value = ""
        self._close_filter()
        self.set_filter("")

    def action_copy(self) -> None:
        """Copy what is chosen."""
        text = self.copied()
        self.post_message(
            messages.Copy(text) if text else messages.Refused("there is nothing to copy")
        )

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        if event.input.id == "filter":
            event.stop()
            self.set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Leave the filter as it is."""
        if event.input.id == "filter":
            event.stop()
            self._close_filter()

    def set_filter(self, text: str) -> None:
        """Show only what has this text."""
        if text != self.filter_text:
            self.filter_text = text
            self.show()

    def matches(self, *values: object) -> bool:
        """Whether any of these has the text of the filter."""
        wanted = self.filter_text.casefold()
        return not wanted or any(wanted in text_of(value).casefold() for value in values)

    def may_change(self) -> bool:
        """Whether this dashboard may do more than look; else say why not."""
        if not self.world.connected:
            self.post_message(messages.Refused("the daemon is not connected: nothing was done"))
            return False
        if self.read_only:
            self.post_message(messages.Refused(READ_ONLY))
        return not self.read_only

    def empty_text(self, text: str) -> str:
        """Return what an empty list says: why, and what to do next."""
        if not self.world.loaded:
            trouble = self.world.trouble
            return trouble.replace("; next: ", "\n") if trouble else "connecting to the daemon …"
        if self.filter_text:
            return "nothing has this text\nesc shows all again"
        return text

    def _close_filter(self) -> None:
        field = self.query_one("#filter", Input)
        if not field.value:
            field.remove_class("-open")
        main = next(iter(self.query("#body Listing")), None)
        self.set_focus(main)
