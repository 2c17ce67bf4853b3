"""What tests of the dashboard may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from textual.pilot import Pilot, WaitForScreenTimeout

from tests.tui.keys import PRESSED, has_pressed, keys_of
from tests.tui.world import House, new_house

_TURN = 2.0
"""Seconds in which every widget that is still there has its turn, on a machine that runs."""


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
def _no_wait_for_what_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a key be done when the screen it was pressed in has gone, its widgets with it.

    The pilot waits half a minute for an answer from each of them, and fails; and on a machine
    that stood still for so long it fails before anything had its turn.
    """
    wait_for_screen = Pilot._wait_for_screen

    async def wait(pilot: Pilot[None], timeout: float = 30.0) -> bool:
        before = pilot.app._screen_stack[-1:]
        for _ in range(round(timeout / _TURN)):
            with suppress(WaitForScreenTimeout):
                return await wait_for_screen(pilot, timeout=_TURN)
            if pilot.app._screen_stack[-1:] != before:
                return True
        raise WaitForScreenTimeout(f"no widget had its turn for {timeout:g} s")

    monkeypatch.setattr(Pilot, "_wait_for_screen", wait)


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
