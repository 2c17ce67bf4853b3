"""The dashboard: it alone holds the client; screens ask by messages and are handed the world."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from deepd.client.async_ import AsyncClient
from deepd.model.visible import visible
from deepd.tui import messages, pages
from deepd.tui.deciding import Deciding
from deepd.tui.dialogs import ask
from deepd.tui.errands import Errands
from deepd.tui.feed import Feed
from deepd.tui.outside import Outside
from deepd.tui.page import Page, bindings_of
from deepd.tui.sheets import Sheets
from deepd.tui.theme import DARK, LIGHT
from deepd.tui.widgets.bar import PAGES, Tabs
from deepd.tui.world import World

if TYPE_CHECKING:
    from deepd.tui.screens.logs import LogsPage

_TICK = 1.0
_LAST_LOOK = 2.5
"""Seconds that the last change stays in sight where the dashboard closes by itself."""
Clock = Callable[[], float]


class Dashboard(Deciding, Outside, App[None]):
    """Attached to one daemon; `q` leaves, and the daemon goes on."""

    TITLE = "deepd"
    CSS_PATH = "dashboard.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_DISPLAY = "^p"
    NOTIFICATION_TIMEOUT = 4
    DEFAULT_MODE = "sessions"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "sessions": pages.sessions,
        "approvals": pages.approvals,
        "logs": pages.logs,
        "events": pages.events,
        "profiles": pages.profiles,
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number + 1), f"page({number})", name, show=False, tooltip="Go to a screen")
            for number, name in enumerate(PAGES)
        ),
        Binding("question_mark", "keys", "Help", key_display="?", tooltip="This help"),
        Binding("ctrl+t", "theme", "Theme", show=False, key_display="^t", tooltip="Light or dark"),
        Binding("q", "quit", "Detach", tooltip="Leave; the daemon goes on"),
        Binding("ctrl+c", "quit", show=False, priority=True, key_display="^c",
                tooltip="Leave; the daemon goes on"),
    ]  # fmt: skip

    def __init__(
        self,
        client: AsyncClient,
        *,
        read_only: bool = False,
        light: bool = False,
        page: str = "sessions",
        clock: Clock = time.time,
        pace: Clock = time.monotonic,
        is_over: Callable[[World], bool] | None = None,
    ) -> None:
        super().__init__()
        self.client = client
        self.errands = Errands(client, read_only=read_only, clock=clock)
        self.feed = Feed(client, self._show)
        self.clock = clock
        self.pace = pace
        self._read_only = read_only
        self._first_page = page
        self._is_over = is_over
        self.on_first_look: Callable[[], object] | None = None
        """Called once, when what the daemon said, or that there is none, is on screen."""
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = LIGHT.name if light else DARK.name
        self.stylesheet = Sheets(self.get_css_variables())

    @property
    def world(self) -> World:
        """What the daemon said last."""
        return self.feed.world

    def on_load(self) -> None:
        """Ask the daemon while the screen is still made."""
        self.run_worker(self.feed.run(), name="feed", exit_on_error=True)

    async def on_mount(self) -> None:
        """Begin where it was asked to."""
        if self._first_page != self.DEFAULT_MODE:
            await self.switch_mode(self._first_page)
        self.set_interval(_TICK, self._tick)

    def on_unmount(self) -> None:
        """Close the connections."""
        self.client.close()

    @property
    def page(self) -> Page | None:
        """The screen under all dialogs."""
        return next((screen for screen in self.screen_stack if isinstance(screen, Page)), None)

    def _show(self, world: World) -> None:
        page = self.page
        if page is not None and page.is_whole:
            page.read_only = self._read_only
            page.now = self.clock()
            page.world = world
            if (world.loaded or world.trouble) and self.on_first_look is not None:
                self.call_after_refresh(self.on_first_look)
                self.on_first_look = None
        if self._is_over is not None and self._is_over(world):
            self._is_over = None
            self.say("that was it: the dashboard closes by itself")
            self.set_timer(_LAST_LOOK, self.exit)

    def _tick(self) -> None:
        if self.page is not None:
            self.page.now = self.clock()

    async def action_page(self, number: int) -> None:
        """Go to a screen."""
        await self.switch_mode(PAGES[number].lower())
        self._show(self.world)

    @on(Tabs.Wanted)
    async def _tab_wanted(self, message: Tabs.Wanted) -> None:
        await self.action_page(message.number)

    def on_page_ready(self, message: messages.PageReady) -> None:
        """Hand the world to a screen that has just come up."""
        self._show(self.world)

    def action_keys(self) -> None:
        """Say what the keys do."""
        page = self.page
        if page is not None and self.screen is page:
            own = bindings_of(type(page))
            everywhere = [item for item in Dashboard.BINDINGS if isinstance(item, Binding)]
            self.push_screen(ask.keys(own, everywhere))

    def action_theme(self) -> None:
        """Light or dark."""
        self.theme = DARK.name if self.theme == LIGHT.name else LIGHT.name

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Return what the palette offers."""
        for number, name in enumerate(PAGES):
            yield SystemCommand(name, f"Go to {name.lower()} ({number + 1})", _page(self, number))
        page = self.page
        for binding in bindings_of(type(page)) if page else []:
            if binding.tooltip and not binding.action.startswith(("decide", "remove")):
                run = _action(page, binding.action)
                yield SystemCommand(binding.description, binding.tooltip, run)
        yield SystemCommand("Theme", "Light or dark (ctrl+t)", self.action_theme)
        yield SystemCommand("Keys", "What the keys do (?)", self.action_keys)
        yield SystemCommand("Detach", "Leave; the daemon goes on (q)", self.exit)

    def say(self, text: str, *, bad: bool = False) -> None:
        """Tell the person something, in a corner; never as markup."""
        severity = "error" if bad else "information"
        self.notify(visible(text), severity=severity, markup=False)  # type: ignore[arg-type] # both are names of severities

    def on_refused(self, message: messages.Refused) -> None:
        """Say why a key did nothing."""
        self.say(message.why, bad=True)

    def on_copy(self, message: messages.Copy) -> None:
        """Put what is shown into the clipboard: nothing in it that a terminal would obey."""
        self.copy_to_clipboard(visible(message.text))
        self.say("copied")

    async def on_open_logs(self, message: messages.OpenLogs) -> None:
        """Show the logs of sessions, and follow them."""
        from deepd.tui.log_feed import LogFeed  # noqa: PLC0415 - as its screen, loaded with it

        await self.switch_mode("logs")
        page = cast("LogsPage", self.page)
        page.begin(message.sessions, message.search)
        self._show(self.world)
        feed = LogFeed(
            self.client,
            message.sessions,
            message.search,
            take=page.take_lines,
            drop=page.drop_lines,
        )
        self.run_worker(feed.run(), name="logs", group="logs", exclusive=True)


def _page(app: Dashboard, number: int) -> Callable[[], object]:
    return lambda: app.run_worker(app.action_page(number))


def _action(page: Page | None, action: str) -> Callable[[], object]:
    async def run() -> None:
        if page is not None:
            await page.run_action(action)

    return run
