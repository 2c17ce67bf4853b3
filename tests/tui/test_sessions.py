"""The sessions screen."""

from __future__ import annotations

import pytest

from deepd.tui.dialogs.confirm import Confirm
from deepd.tui.page import Page
from deepd.tui.widgets.listing import Listing
from tests.tui.world import House, dashboard


async def session(house: House, name: str = "main") -> str:
    return str((await house.operator.session(name))["state"])


async def test_a_session_is_shown_with_its_profile_state_and_engine(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.sees("ready")
        screen = desk.screen()
        for word in ("main", "strict", "fake", "1 session"):
            assert word in screen


@pytest.mark.keys("sessions", "enter")
async def test_enter_shows_the_details_of_a_session(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.sees("ready")
        await desk.press("enter")
        await desk.sees("container number")
        await desk.press("escape")
        assert isinstance(desk.app.screen, Page)


@pytest.mark.keys("sessions", "l")
async def test_l_follows_what_the_session_prints(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.sees("ready")
        await desk.press("l")
        await desk.sees("following")
        assert desk.app.current_mode == "logs"


@pytest.mark.keys("sessions", "p")
async def test_p_pauses_and_resumes(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.sees("ready")
        await desk.press("p")
        await desk.sees("paused")
        assert await session(house) == "paused"
        await desk.press("p")
        await desk.sees("ready")


@pytest.mark.keys("sessions", "x")
async def test_x_stops_only_once_that_is_confirmed_and_starts_again(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.sees("ready")
        await desk.press("x")
        await desk.until(lambda: isinstance(desk.app.screen, Confirm))
        await desk.press("y")
        assert isinstance(desk.app.screen, Confirm)  # too fast to be meant
        await desk.press("escape")
        assert await session(house) == "ready"
        await desk.press("x")
        await desk.until(lambda: isinstance(desk.app.screen, Confirm))
        await desk.think()
        await desk.press("y")
        await desk.sees("stopped")
        await desk.press("x")
        await desk.sees("ready")


@pytest.mark.keys("sessions", "X")
async def test_capital_x_removes_only_once_that_is_confirmed(house: House) -> None:
    await house.operator.open_session("extra", "strict")
    await house.ready("extra")
    async with dashboard(house) as desk:
        await desk.sees("extra")
        for answer in ("n", "y"):
            desk.app.screen.query_one(Listing).select("extra")
            await desk.press("X")
            await desk.until(lambda: isinstance(desk.app.screen, Confirm))
            await desk.think()
            await desk.press(answer)
            await desk.until(lambda: isinstance(desk.app.screen, Page))
            names = [item["name"] for item in await house.operator.sessions()]
            assert ("extra" in names) or answer == "y"
        await desk.until(lambda: desk.app.world.session("extra") is None)


@pytest.mark.keys("sessions", "o")
async def test_o_sorts_by_name_state_and_last_use(house: House) -> None:
    await house.operator.open_session("aaa", "strict")
    await house.ready("aaa")
    await house.hold("echo held")
    async with dashboard(house) as desk:
        await desk.sees("held (1)")
        listing = desk.app.screen.query_one(Listing)
        assert listing.keys == ["aaa", "main"]
        await desk.press("o")
        assert listing.keys == ["main", "aaa"]
        await desk.press("o", "o")
        assert listing.keys == ["aaa", "main"]


@pytest.mark.keys("sessions", "slash", "escape")
async def test_the_filter_shows_only_what_has_its_text_and_escape_shows_all(house: House) -> None:
    await house.operator.open_session("other", "strict")
    async with dashboard(house) as desk:
        await desk.sees("other")
        listing = desk.app.screen.query_one(Listing)
        await desk.press("slash", *"oth", "enter")
        assert listing.keys == ["other"]
        await desk.press("escape")
        assert listing.keys == ["main", "other"]
        await desk.press("slash", *"nosuch")
        assert "esc shows all again" in desk.screen()


@pytest.mark.keys("sessions", "y")
@pytest.mark.keys("approvals", "y")
async def test_y_copies_what_is_chosen_with_nothing_a_terminal_obeys(house: House) -> None:
    await house.hold("echo \x1b]52;c;eA==\x07")
    async with dashboard(house) as desk:
        await desk.sees("held (1)")
        await desk.press("y")
        assert desk.app.clipboard == "main"
        await desk.press("2")
        await desk.sees("echo \\u{1b}")
        await desk.press("y")
        assert desk.app.clipboard == "echo \\u{1b}]52;c;eA==\\u{7}"


async def test_a_read_only_dashboard_changes_no_session(house: House) -> None:
    async with dashboard(house, read_only=True) as desk:
        await desk.sees("READ ONLY")
        for key in ("p", "x", "X", "s"):
            await desk.press(key)
            assert isinstance(desk.app.screen, Page)
        assert await session(house) == "ready"


@pytest.mark.keys("sessions", "s")
async def test_s_says_so_where_there_is_no_terminal_to_give_away(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.sees("ready")
        await desk.press("s")
        await desk.until(lambda: "no terminal to give away" in desk.said())


async def test_who_has_no_sessions_is_told_what_to_do(house: House) -> None:
    house.profile(text="sessions = []\n")
    await house.operator.reload()
    async with dashboard(house) as desk:
        await desk.sees("no sessions yet")
        await desk.sees("deepd exec NAME -- true")
