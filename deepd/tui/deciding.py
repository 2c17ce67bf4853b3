"""Deciding: how an answer to held calls is asked for, given and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual import work
from textual.app import App

from deepd.errors import DeepdError
from deepd.tui import messages
from deepd.tui.dialogs import ask
from deepd.tui.shown import one_line
from deepd.tui.world import Json

if TYPE_CHECKING:
    from deepd.tui.errands import Errands
    from deepd.tui.feed import Feed
    from deepd.tui.screens.approvals import ApprovalsPage


class Deciding(App[None]):
    """The part of the app that answers approvals."""

    clock: Callable[[], float]
    errands: Errands
    feed: Feed

    def say(self, text: str, *, bad: bool = False) -> None:
        """Tell the person something."""
        raise NotImplementedError

    def on_decide(self, message: messages.Decide) -> None:
        """Answer, after the dialog that this answer needs."""
        approvals = list(message.approvals)
        match message.answer:
            case "approve":
                self._approve(approvals)
            case "scope":
                self._approve_and_remember(approvals[0])
            case "edit":
                self._approve_edited(approvals[0])
            case "deny":
                self._deny(approvals, stop=False)
            case "stop":
                self._deny(approvals, stop=True)

    @property
    def _page(self) -> ApprovalsPage | None:
        """The screen that asks, unless another one is in front."""
        from deepd.tui.screens.approvals import ApprovalsPage  # noqa: PLC0415 - it is there already

        return next((each for each in self.screen_stack if isinstance(each, ApprovalsPage)), None)

    @work
    async def on_read_file(self, message: messages.ReadFile) -> None:
        """Read what a held call would change."""
        current, body = await self.errands.file_of(message.approval)
        if page := self._page:
            page.take_file(message.approval, current, body)

    @work
    async def _approve(self, approvals: Sequence[Json]) -> None:
        if len(approvals) > 1:
            page = self._page
            if page is None:
                return
            if not await self.push_screen_wait(ask.many(approvals, page.lines_of)):
                return
        for approval in approvals:
            self._tell(approval, "approved", await self.errands.approve(approval))

    @work
    async def _approve_and_remember(self, approval: Json) -> None:
        try:
            proposal = await self.errands.proposal(approval)
        except (DeepdError, OSError, TimeoutError) as error:
            self.say(f"nothing can be remembered of it now: {error}", bad=True)
            return

        async def remember(what: Json) -> str:
            return await self.errands.approve_and_remember(approval, what)

        dialog = ask.scope(approval, proposal, remember, clock=self.clock)
        if await self.push_screen_wait(dialog):
            self._tell(approval, "approved", "")

    @work
    async def _approve_edited(self, approval: Json) -> None:
        async def submit(args: Json) -> str:
            return await self.errands.approve(approval, args)

        if await self.push_screen_wait(ask.edit(approval, submit)):
            self._tell(approval, "approved as edited", "")

    @work
    async def _deny(self, approvals: Sequence[Json], *, stop: bool) -> None:
        callers = sorted({one_line(item.get("client") or "its caller") for item in approvals})
        what = "deny" if len(approvals) == 1 else f"deny {len(approvals)} calls"
        name = f"{what}, and end all calls of {', '.join(callers)}" if stop else what
        reason = await self.push_screen_wait(ask.reason(name, approvals))
        if reason is None:
            return
        for approval in approvals:
            self._tell(approval, "denied", await self.errands.deny(approval, reason, stop=stop))

    def _tell(self, approval: Json, done: str, refused: str) -> None:
        self.feed.wake()
        what = f"{approval['tool']} in {approval['session']}"
        self.say(f"{what}: {refused}" if refused else f"{done}: {what}", bad=bool(refused))
