"""What works on every screen: going through them, help, themes, badges, coming back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from deepd.tui.dialogs.details import Details
from deepd.tui.widgets.bar import PAGES
from deepd.tui.widgets.document import Document
from deepd.tui.widgets.listing import Listing
from tests.eventually import eventually
from tests.tui.world import Desk, House, dashboard


def is_in_front(desk: Desk, name: str) -> bool:
    return desk.app.current_mode == name.lower()


@pytest.mark.keys("everywhere", "1", "2", "3", "4", "5")
async def test_the_numbers_and_the_tabs_go_to_the_screens(house: House) -> None:
    async with dashboard(house) as desk:
        for number, name in reversed(list(enumerate(PAGES))):
            await desk.press(str(number + 1))
            assert desk.app.current_mode == name.lower()
        for name in reversed(PAGES):
            at = desk.screen().split("\n")[1].index(name)
            await desk.pilot.click("#tabs", offset=(at, 0))
            await desk.until(partial(is_in_front, desk, name))


@pytest.mark.keys("everywhere", "question_mark")
async def test_question_mark_says_what_every_key_of_the_screen_does(house: House) -> None:
    async with dashboard(house, size=(120, 60)) as desk:
        for number, own in enumerate(("Freeze", "Deny with", "Search in", "all of an", "$EDITOR")):
            await desk.press(str(number + 1), "question_mark")
            await desk.until(lambda: isinstance(desk.app.screen, Details))
            said = "\n".join(line.text for line in desk.app.screen.query_one(Document).lines)
            assert own in said
            assert "Leave; the daemon goes on" in said
            await desk.press("escape")


@pytest.mark.keys("everywhere", "ctrl+p")
async def test_the_palette_goes_to_screens_and_decides_nothing(house: House) -> None:
    call = await house.hold("echo held")
    async with dashboard(house) as desk:
        await desk.press("2")
        await desk.sees("echo held")
        commands = [command.title for command in desk.app.get_system_commands(desk.app.screen)]
        assert not [title for title in commands if "pprove" in title and title != "Approvals"]
        await desk.press("ctrl+p", *"Profiles")
        await desk.sees("Go to profiles")
        await desk.press("enter", "enter")
        await desk.until(lambda: desk.app.current_mode == "profiles")
    assert await house.state(call) == "held"


@pytest.mark.keys("everywhere", "ctrl+t", "q")
async def test_the_theme_changes_and_q_leaves_the_daemon_alone(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.press("ctrl+t")
        assert desk.app.theme == "deepd-light"
        await desk.press("q")
        await eventually(lambda: not desk.app.is_running)
    assert (await house.operator.health())["status"] == "ok"


async def test_without_a_daemon_it_says_how_to_start_one(house: House) -> None:
    await house.stop()
    from deepd.client.async_ import AsyncClient
    from deepd.tui.app import Dashboard

    app = Dashboard(AsyncClient(house.socket))
    async with app.run_test(size=(100, 30)) as pilot:
        desk = Desk(app, pilot)
        await desk.sees("DISCONNECTED")
        await desk.sees("deepd start -c PROFILE")


async def test_an_engine_that_is_down_is_a_badge(house: House) -> None:
    async with dashboard(house) as desk:
        house.engine.go_down()
        await desk.sees("ENGINE DOWN")
        house.engine.come_up()
        await desk.until(lambda: "ENGINE DOWN" not in desk.screen())


async def test_a_stale_profile_is_a_badge_with_its_place(house: House) -> None:
    async with dashboard(house) as desk:
        house.profile(text="idle_timout = '15m'\n")
        await house.operator.reload()
        await desk.sees("STALE CONFIG strict.toml:3:1")


async def test_after_a_restart_of_the_daemon_nothing_is_missing_and_nothing_doubled(
    house: House, tmp_path: Path
) -> None:
    call = await house.hold("echo before")
    async with dashboard(house) as desk:
        await desk.sees("held (1)")
        await house.stop()
        await desk.sees("DISCONNECTED")
        await desk.press("2")
        await desk.sees("echo before")
        await desk.think()
        await desk.press("a")
        assert "nothing was done" in desk.said()
        await house.start()
        await desk.until(lambda: desk.app.world.connected)
        late = await house.hold("echo after")
        await desk.until(lambda: desk.app.world.approval(late["id"]))
        await desk.until(
            lambda: [item["id"] for item in desk.app.world.approvals] == [call["id"], late["id"]]
        )
        last = (await house.operator.info())["last_event"]
        await desk.until(lambda: desk.app.world.events[-1]["id"] >= last)
        numbers = [event["id"] for event in desk.app.world.events]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))


async def tall_list(house: House, desk: Desk) -> Listing:
    """Have more sessions than there are rows."""
    for number in range(30):
        await house.operator.open_session(f"s{number:02}", "strict")
        await house.operator.stop(f"s{number:02}")
    await desk.sees("31 sessions")
    return desk.app.screen.query_one(Listing)


@pytest.mark.keys("everywhere", "ctrl+c")
async def test_ctrl_c_leaves_too(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.press("ctrl+c")
        await eventually(lambda: not desk.app.is_running)
    assert (await house.operator.health())["status"] == "ok"


@pytest.mark.keys("everywhere", "tab")
async def test_tab_goes_from_the_list_into_the_call_and_back(house: House) -> None:
    await house.hold("echo held")
    async with dashboard(house) as desk:
        await desk.press("2")
        await desk.sees("echo held")
        await desk.press("tab")
        assert isinstance(desk.app.focused, Document)
        await desk.press("tab")
        assert isinstance(desk.app.focused, Listing)


@pytest.mark.keys("long list", "up", "k", "down", "j", "enter", "pageup", "pagedown", "home", "end")
async def test_a_long_list_is_gone_through_by_rows_and_by_pages(house: House) -> None:
    async with dashboard(house, size=(120, 20)) as desk:
        listing = await tall_list(house, desk)
        at = listing.keys.index
        for key, row in (("down", 1), ("j", 2), ("up", 1), ("k", 0), ("end", 30), ("home", 0)):
            await desk.press(key)
            assert at(listing.key) == row, key
            assert listing.key in desk.screen()
        await desk.press("pagedown")
        paged = at(listing.key)
        assert 5 < paged < 20
        assert listing.key in desk.screen()
        await desk.press("pageup")
        assert at(listing.key) == 0
        await desk.press("enter")
        await desk.sees(f"session {listing.key}")
