"""Approving a call and remembering it, as far as its profile allows."""

from __future__ import annotations

import pytest

from deepd.tui.dialogs.scope import Scope
from deepd.tui.widgets.field import Field
from deepd.tui.widgets.listing import Listing
from tests.tui.approving import approvals
from tests.tui.world import HELD, House, dashboard


@pytest.mark.keys("approvals", "A")
async def test_capital_a_remembers_the_call_so_that_the_next_one_is_not_asked(house: House) -> None:
    call = await house.hold("echo push")
    async with dashboard(house) as desk:
        await approvals(desk, "echo push")
        await desk.press("A")
        await desk.sees("remembered is this very call")
        listing = desk.app.screen.query_one("#scopes", Listing)
        assert listing.keys == ["session"]
        desk.app.screen.query_one("#count", Field).value = "1"
        desk.app.screen.query_one("#until", Field).value = "soon"
        await desk.think()
        await desk.press("ctrl+s")
        await desk.sees("'soon' is not a duration")
        assert await house.state(call) == "held"
        desk.app.screen.query_one("#until", Field).value = "1h"
        await desk.press("ctrl+s")
        await desk.sees("nothing waits for you")
    assert (await house.ended(call))["state"] == "finished"
    (grant,) = await house.operator.grants()
    assert (grant["scope"], grant["count"]) == ("session", 1)
    assert await house.state(await house.hold("echo push")) != "held"
    assert await house.state(await house.hold("echo push")) == "held"
    assert await house.state(await house.hold("echo push again")) == "held"


async def test_a_scope_that_the_profile_does_not_allow_is_not_offered(house: House) -> None:
    house.profile(text=HELD + "[approvals]\nremember = []\n")
    await house.operator.reload()
    call = await house.hold("echo push")
    async with dashboard(house) as desk:
        await approvals(desk, "echo push")
        await desk.press("A")
        await desk.sees("the profile lets nothing be remembered")
        await desk.think()
        await desk.press("ctrl+s")
        assert isinstance(desk.app.screen, Scope)
    assert await house.state(call) == "held"
