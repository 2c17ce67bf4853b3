"""Outside: what the app does to sessions and profiles, and what takes the terminal away from it."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.app import App, SuspendNotSupported

from deepd.errors import DeepdError
from deepd.tui import messages
from deepd.tui.dialogs import ask

if TYPE_CHECKING:
    from deepd.client.async_ import AsyncClient
    from deepd.tui.errands import Errands
    from deepd.tui.feed import Feed

_DONE = {
    "start": "starts",
    "stop": "stops",
    "pause": "pauses",
    "resume": "goes on",
    "remove": "is removed; its workspace stays",
}
_CONFIRMED = {
    "stop": (
        "Its sandbox stops: what runs in it ends, and what is held stays held.",
        "Its workspace stays, and the next call starts it again.",
    ),
    "remove": (
        "Session and sandbox go: what runs in it ends.",
        "Its workspace stays on disk; only `deepd rm --purge` removes it.",
    ),
}


class Outside(App[None]):
    """The part of the app beside approvals."""

    client: AsyncClient
    errands: Errands
    feed: Feed

    def say(self, text: str, *, bad: bool = False) -> None:
        """Tell the person something."""
        raise NotImplementedError

    @work
    async def on_change_session(self, message: messages.ChangeSession) -> None:
        """Change a session, once that is confirmed where something ends by it."""
        name, verb = message.name, message.verb
        if verb in _CONFIRMED and not await self.push_screen_wait(
            ask.confirm(f"{verb} {name}?", _CONFIRMED[verb])
        ):
            return
        refused = await self.errands.change_session(name, verb)
        self.feed.wake()
        self.say(f"{name}: {refused}" if refused else f"{name} {_DONE[verb]}", bad=bool(refused))

    @work
    async def on_show_plan(self, message: messages.ShowPlan) -> None:
        """Show what a reload would do."""
        try:
            actions = await self.errands.plan()
        except (DeepdError, OSError, TimeoutError) as error:
            self.say(f"no plan: {error}", bad=True)
            return
        self.push_screen(ask.plan(actions))

    @work
    async def on_reload(self, message: messages.Reload) -> None:
        """Read the profiles again."""
        refused = await self.errands.reload()
        self.feed.wake()
        self.say(refused or "the profiles were read again", bad=bool(refused))

    @work
    async def on_export_logs(self, message: messages.ExportLogs) -> None:
        """Write logs to the folder that the dashboard was started in."""
        for name in message.sessions:
            try:
                path = await self.errands.export(name, Path.cwd())
            except (DeepdError, OSError) as error:
                self.say(f"{name} is not exported: {error}", bad=True)
            else:
                self.say(f"written to {path}")

    async def on_open_shell(self, message: messages.OpenShell) -> None:
        """Give the terminal to a shell until that ends."""
        socket = self.client.socket_path
        await self._outside(
            [sys.executable, "-m", "deepd", "--socket", socket, "shell", message.name]
        )

    async def on_edit_file(self, message: messages.EditFile) -> None:
        """Give the terminal to the person's editor."""
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        await self._outside([*shlex.split(editor), message.path])

    async def _outside(self, words: Sequence[str]) -> None:
        """Run a program in the terminal, and come back."""
        try:
            with self.suspend():
                code = await asyncio.to_thread(_run, words)
        except SuspendNotSupported:
            self.say("there is no terminal to give away here", bad=True)
            return
        except OSError as error:
            self.say(f"cannot run {words[0]}: {error.strerror}", bad=True)
            return
        self.refresh()
        self.feed.wake()
        if code:
            self.say(f"{Path(words[0]).name} ended with {code}", bad=True)


def _run(words: Sequence[str]) -> int:
    return subprocess.run(words, check=False).returncode
