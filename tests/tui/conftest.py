"""What tests of the dashboard may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.tui.world import House, new_house


@pytest.fixture(autouse=True)
def _no_wait_for_an_idle_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a key be done when its messages are handled.

    Textual's pilot waits until the process is idle, up to a second for each key; with a daemon
    in the same process, or on a busy machine, it is that second each time.
    """

    async def give_way(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
        await asyncio.sleep(0)

    for module in ("app", "pilot"):
        monkeypatch.setattr(f"textual.{module}.wait_for_idle", give_way)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A daemon that holds commands and changes of files, with `main` ready."""
    async with new_house() as built:
        yield built
