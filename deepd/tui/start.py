"""Starting the dashboard in this terminal."""

from __future__ import annotations

import gc
from collections.abc import Callable

from deepd.client.async_ import AsyncClient
from deepd.tui.app import Dashboard
from deepd.tui.world import World


def run_dashboard(
    socket: str | None,
    *,
    name: str,
    read_only: bool = False,
    light: bool = False,
    page: str = "sessions",
    is_over: Callable[[World], bool] | None = None,
) -> None:
    """Show the daemon at a socket until the person leaves, or shortly after `is_over`."""
    client = AsyncClient(socket, name=name)
    app = Dashboard(client, read_only=read_only, light=light, page=page, is_over=is_over)
    app.on_first_look = _settle
    app.run()


def _settle() -> None:
    """Let the collector leave alone what is there for good: going through it takes 50 ms or more.

    Until now it was off (`deepd.cli.dashboard`): a start makes no garbage worth its time.
    """
    gc.freeze()
    gc.enable()
