"""Deciding several marked calls at once: all of them were read, and no other is touched."""

from __future__ import annotations

from typing import Any

import pytest

from deepd.tui.dialogs.many import Many
from deepd.tui.dialogs.reason import Reason
from deepd.tui.page import Page
from deepd.tui.widgets.document import Document
from tests.tui.approving import approvals, states
from tests.tui.world import Desk, House, dashboard


async def mark_two_of_three(house: House, desk: Desk) -> list[dict[str, Any]]:
    """Hold three calls, and mark the first two."""
    calls = [await house.hold(f"echo {word}") for word in ("one", "two", "three")]
    await approvals(desk, "echo one")
    await desk.press("space")
    await desk.sees("echo two")
    await desk.press("space")
    await desk.sees("2 marked")
    await desk.think()
    return calls


@pytest.mark.keys("approvals", "space")
async def test_several_marked_calls_are_shown_in_full_before_they_are_approved(
    house: House,
) -> None:
    calls = [await house.hold(f"echo {word}") for word in ("one", "two", "three")]
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        await desk.press("space")
        await desk.sees("echo two")
        await desk.press("space", "up")
        await desk.think()
        await desk.press("a")
        await desk.until(lambda: isinstance(desk.app.screen, Many))
        document = desk.app.screen.query_one(Document)
        shown = [line.text for line in document.lines]
        assert "echo one" in shown
        assert "echo two" in shown
        assert "echo three" not in shown
        await desk.press("a")
        assert await states(house, calls) == ["held", "held", "held"]
        await desk.press("pagedown", "pagedown", "pagedown")
        await desk.until(lambda: document.end_seen)
        await desk.think()
        await desk.press("a")
        await desk.until(lambda: len(desk.app.world.approvals) == 1)
    for call in calls[:2]:
        assert (await house.ended(call))["state"] == "finished"
    assert await house.state(calls[2]) == "held"


async def test_several_marked_calls_are_denied_with_one_reason_and_no_other(house: House) -> None:
    async with dashboard(house) as desk:
        calls = await mark_two_of_three(house, desk)
        await desk.press("d")
        await desk.until(lambda: isinstance(desk.app.screen, Reason))
        await desk.sees("deny 2 calls")
        shown = desk.screen()
        assert "echo one" in shown
        assert "echo two" in shown
        await desk.press("enter")  # too fast to be meant
        assert await states(house, calls) == ["held", "held", "held"]
        await desk.press(*"not now")
        await desk.think()
        await desk.press("enter")
        await desk.until(lambda: len(desk.app.world.approvals) == 1)
    ended = [await house.ended(call) for call in calls[:2]]
    assert [(call["state"], call["reason"]) for call in ended] == [("denied", "not now")] * 2
    assert await house.state(calls[2]) == "held"


async def test_several_marked_calls_are_denied_and_their_caller_stopped(house: House) -> None:
    async with dashboard(house) as desk:
        calls = await mark_two_of_three(house, desk)
        await desk.press("D")
        await desk.sees("deny 2 calls, and end all calls of planner-7")
        await desk.think()
        await desk.press("enter")
        await desk.sees("nothing waits for you")
    seen = await states(house, calls)
    assert seen[0] == "denied"
    assert set(seen[1:]) <= {"denied", "cancelled"}


async def test_space_takes_a_mark_away_again(house: House) -> None:
    async with dashboard(house) as desk:
        calls = await mark_two_of_three(house, desk)
        await desk.press("up", "up", "space")
        await desk.sees("1 marked")
        await desk.press("space")
        await desk.until(lambda: "marked" not in desk.screen())
        await desk.press("up", "up")
        await desk.sees("echo one")
        await desk.think()
        await desk.press("a")
        await desk.until(lambda: len(desk.app.world.approvals) == 2)
    assert await states(house, calls[1:]) == ["held", "held"]


async def test_with_several_marked_nothing_is_edited_or_remembered(house: House) -> None:
    async with dashboard(house) as desk:
        calls = await mark_two_of_three(house, desk)
        for key in ("A", "e"):
            await desk.press(key)
            assert isinstance(desk.app.screen, Page)
            assert "several are marked" in desk.said()
    assert await states(house, calls) == ["held", "held", "held"]
