"""Denying on the approvals screen: with a reason, and with an end of its caller's other calls."""

from __future__ import annotations

import pytest

from deepd.tui.dialogs.reason import Reason
from tests.tui.approving import approvals, states
from tests.tui.world import House, dashboard


@pytest.mark.keys("approvals", "d")
async def test_d_denies_with_a_reason_that_the_caller_reads(house: House) -> None:
    call = await house.hold("rm -rf data")
    async with dashboard(house) as desk:
        await approvals(desk, "rm -rf data")
        await desk.press("d")
        await desk.until(lambda: isinstance(desk.app.screen, Reason))
        await desk.press(*"use a copy")
        await desk.think()
        await desk.press("enter")
        await desk.sees("nothing waits for you")
    ended = await house.ended(call)
    assert (ended["state"], ended["reason"]) == ("denied", "use a copy")


@pytest.mark.keys("approvals", "D")
async def test_capital_d_also_ends_the_callers_other_calls(house: House) -> None:
    calls = [await house.hold("echo one"), await house.hold("echo two")]
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        await desk.press("D")
        await desk.sees("end all calls of planner-7")
        await desk.think()
        await desk.press("enter")
        await desk.sees("nothing waits for you")
    assert await states(house, calls) == ["denied", "cancelled"]
