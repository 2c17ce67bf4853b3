"""What tests of the dashboard may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.tui.keys import PRESSED, has_pressed, keys_of
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


@pytest.fixture(autouse=True)
def _presses_what_it_claims(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that does not press a key that it is marked with."""
    PRESSED.clear()
    yield
    claimed = set(keys_of(request.node.iter_markers("keys")))
    assert {key for key in claimed if not has_pressed(key, PRESSED)} == set()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A daemon that holds commands and changes of files, with `main` ready."""
    async with new_house() as built:
        yield built
