"""The events screen."""

from __future__ import annotations

import json

import pytest

from deepd.tui.dialogs.details import Details
from deepd.tui.widgets.listing import Listing
from tests.tui.world import House, dashboard


@pytest.mark.keys("events", "enter", "slash", "escape")
async def test_events_are_shown_once_each_and_enter_shows_all_of_one(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.press("4")
        await desk.sees("sandbox ready")
        await house.hold("echo held")
        await desk.sees("approval asked")
        keys = desk.app.screen.query_one(Listing).keys
        assert len(keys) == len(set(keys))
        await desk.press("end", "enter")
        await desk.until(lambda: isinstance(desk.app.screen, Details))
        await desk.sees("fingerprint")
        await desk.press("escape", "slash", *"sandbox ready", "enter")
        await desk.press("escape", "slash", *"sandbox_ready", "enter")
        assert len(desk.app.screen.query_one(Listing).keys) == 1


@pytest.mark.keys("events", "y")
async def test_y_copies_the_event_as_it_is_on_the_wire(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.press("4")
        await desk.sees("sandbox ready")
        await desk.press("end", "y")
        last = desk.app.world.events[-1]
        assert json.loads(desk.app.clipboard) == last
