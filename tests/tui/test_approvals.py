"""The approvals screen: what is shown is what runs, and only a person who looked decides."""

from __future__ import annotations

from functools import partial

import pytest

from deepd.tui.dialogs.edit import Edit
from deepd.tui.dialogs.reason import Reason
from deepd.tui.dialogs.scope import Scope
from deepd.tui.page import Page
from deepd.tui.widgets.document import Document
from deepd.tui.widgets.listing import Listing
from tests.tui.approving import approvals, is_open, states
from tests.tui.decode import rows_of
from tests.tui.world import House, dashboard


@pytest.mark.keys("approvals", "a")
async def test_a_approves_once_exactly_what_is_shown(house: House) -> None:
    call = await house.hold("echo $((6*7)) >> ran; cat ran")
    async with dashboard(house) as desk:
        await approvals(desk, "echo $((6*7)) >> ran; cat ran")
        await desk.press("a", "a")
        await desk.sees("nothing waits for you")
    assert (await house.ended(call))["state"] == "finished"
    assert await house.output(call) == "42\n"


async def test_a_does_nothing_within_400_ms_of_an_item_taking_the_selection(house: House) -> None:
    first, second = await house.hold("echo first"), await house.hold("echo second")
    async with dashboard(house) as desk:
        await approvals(desk, "echo first")
        await desk.press("down", "a")
        assert await states(house, [first, second]) == ["held", "held"]
        await desk.think()
        await desk.press("a")
        await desk.until(lambda: len(desk.app.world.approvals) == 1)
        # The first one is in front now, and this key was meant for the one that went.
        await desk.press("a")
        assert await house.state(first) == "held"
    assert (await house.ended(second))["state"] == "finished"


async def test_a_item_that_arrives_under_the_finger_is_not_decided(house: House) -> None:
    async with dashboard(house) as desk:
        await approvals(desk, "nothing waits for you")
        call = await house.hold("echo sudden")
        await desk.until(lambda: desk.app.world.approvals)
        await desk.press("a")
        assert await house.state(call) == "held"


async def test_a_click_alone_decides_nothing(house: House) -> None:
    calls = [await house.hold("echo one"), await house.hold("echo two")]
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        width, height = desk.app.size
        # The bars, the list, the call with what is before and after it, and the keys.
        for y in (0, 1, 3, 4, 5, 8, height - 1):
            for x in (3, width // 2, width - 30):
                await desk.click(x, y)
                assert isinstance(desk.app.screen, Page)
        await desk.press("2")
        assert await states(house, calls) == ["held", "held"]
        assert isinstance(desk.app.screen, Page)


async def test_closing_a_dialog_decides_nothing_and_passes_no_key_on(house: House) -> None:
    call = await house.hold("echo one")
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        for key, dialog in (("d", Reason), ("D", Reason), ("e", Edit), ("A", Scope)):
            await desk.press(key)
            await desk.until(partial(is_open, desk, dialog))
            await desk.press("escape", "a")
            assert isinstance(desk.app.screen, Page)
            assert await house.state(call) == "held"
            await desk.think()


async def test_what_changes_under_a_dialog_can_be_approved_once_that_is_closed(
    house: House,
) -> None:
    call = await house.hold("echo one")
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        await desk.press("d")
        await desk.until(lambda: isinstance(desk.app.screen, Reason))
        late = await house.hold("echo late")
        approval = await house.operator.approval(call["id"])
        await house.operator.decide(call["id"], approve=False, fingerprint=approval["fingerprint"])
        await desk.until(lambda: [item["id"] for item in desk.app.world.approvals] == [late["id"]])
        await desk.press("escape")
        await desk.sees("echo late")
        await desk.think()
        await desk.press("a")
        await desk.sees("nothing waits for you")
    assert (await house.ended(late))["state"] == "finished"


async def test_a_long_call_is_approved_only_after_its_end_was_on_screen(house: House) -> None:
    command = "\n".join(f"echo {number}" for number in range(200))
    call = await house.hold(command)
    async with dashboard(house) as desk:
        await approvals(desk, "echo 1")
        await desk.press("a")
        assert await house.state(call) == "held"
        assert "read it to its end" in desk.said()
        await desk.press("end")
        await desk.until(lambda: desk.app.screen.query_one(Document).end_seen)
        await desk.think()
        await desk.press("a")
        await desk.sees("nothing waits for you")
    assert (await house.ended(call))["state"] == "finished"


async def test_who_attaches_late_sees_the_same_pending_list(house: House) -> None:
    await house.hold("echo one")
    await house.hold("echo two")
    seen = []
    for _ in range(2):
        async with dashboard(house, page="approvals") as desk:
            await desk.sees("echo one")
            seen.append(desk.app.screen.query_one("#held", Listing).keys)
    assert seen[0] == seen[1]
    assert len(seen[0]) == 2


async def test_a_decision_elsewhere_takes_the_item_away(house: House) -> None:
    call = await house.hold("echo one")
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        approval = await house.operator.approval(call["id"])
        await house.operator.decide(
            call["id"], approve=False, fingerprint=approval["fingerprint"], reason="no"
        )
        await desk.sees("nothing waits for you")


async def test_a_read_only_dashboard_decides_nothing(house: House) -> None:
    call = await house.hold("echo one")
    async with dashboard(house, read_only=True) as desk:
        await approvals(desk, "echo one")
        await desk.sees("READ ONLY")
        for key in ("a", "A", "e", "d", "D"):
            await desk.press(key)
            assert isinstance(desk.app.screen, Page)
        assert "only looks" in desk.said()
    assert await house.state(call) == "held"


async def test_what_an_agent_calls_itself_is_never_read_as_markup(house: House) -> None:
    text = "echo [@click=app.exit]x[/] [/] [bold red]y"
    call = await house.hold(text)
    async with dashboard(house, size=(100, 30)) as desk:
        await approvals(desk, text)
        await desk.pilot.click("#call", offset=(10, 4))
        await desk.settle()
        assert desk.app.is_running
    assert await house.state(call) == "held"


async def test_no_character_of_a_call_is_hidden_by_the_scroll_bar(house: House) -> None:
    command = "echo " + "".join(chr(ord("a") + number % 26) for number in range(2500))
    await house.hold(command)
    async with dashboard(house, size=(80, 24)) as desk:
        await approvals(desk, "echo abc")
        text = desk.app.screen.query_one(Document)
        await desk.until(lambda: text.show_vertical_scrollbar)
        shown = desk.screen().split("\n")[text.region.y : text.region.bottom]
        await desk.press("tab")
        while text.scroll_offset.y < text.max_scroll_y:
            await desk.press("down")
            shown.append(desk.screen().split("\n")[text.region.bottom - 1])
        rows = [row[: text.columns].rstrip() for row in shown]
        assert command in rows_of(rows, columns=text.columns)


@pytest.mark.keys("approvals", "slash", "escape")
async def test_the_filter_shows_only_calls_that_have_its_text(house: House) -> None:
    one, two = await house.hold("echo one"), await house.hold("echo two")
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        listing = desk.app.screen.query_one("#held", Listing)
        await desk.press("slash", *"two", "enter")
        assert listing.keys == [two["id"]]
        await desk.sees("echo two")
        await desk.press("escape")
        assert listing.keys == [one["id"], two["id"]]
    assert await states(house, [one, two]) == ["held", "held"]


@pytest.mark.keys("approvals", "pagedown", "pageup", "home", "end")
async def test_the_page_keys_read_on_in_the_call_beside_the_list(house: House) -> None:
    await house.hold("\n".join(f"echo {number}" for number in range(200)))
    async with dashboard(house) as desk:
        await approvals(desk, "echo 1")
        text = desk.app.screen.query_one(Document)
        page = text.size.height - 1
        for key, row in (
            ("pagedown", page),
            ("pageup", 0),
            ("end", text.max_scroll_y),
            ("home", 0),
        ):
            await desk.press(key)
            assert text.scroll_offset.y == row, key


@pytest.mark.keys("list", "up", "k", "down", "j", "enter")
async def test_going_through_the_list_decides_nothing_and_neither_does_enter(house: House) -> None:
    calls = [await house.hold("echo one"), await house.hold("echo two")]
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        listing = desk.app.screen.query_one("#held", Listing)
        for key, row in (("down", 1), ("up", 0), ("j", 1), ("k", 0)):
            await desk.press(key)
            assert listing.key == calls[row]["id"], key
            await desk.think()
        await desk.press("enter")
        assert isinstance(desk.app.screen, Page)
    assert await states(house, calls) == ["held", "held"]
