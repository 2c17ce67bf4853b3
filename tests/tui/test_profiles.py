"""The profiles screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepd.tui.widgets.document import Document
from deepd.tui.widgets.listing import Listing
from tests.tui.world import House, dashboard


@pytest.mark.keys("profiles", "R", "y")
async def test_a_broken_file_is_shown_with_its_caret_while_the_last_good_one_counts(
    house: House,
) -> None:
    async with dashboard(house) as desk:
        await desk.press("5")
        await desk.sees("ready")
        house.profile(text="idle_timout = '15m'\n")
        await desk.press("R")
        await desk.sees("STALE")
        await desk.sees("did you mean `idle_timeout`?")
        assert "^^^^" in desk.screen()
        assert "last good version is in force" in desk.screen()
        await desk.press("y")
        assert desk.app.clipboard.endswith("strict.toml:3:1")


@pytest.mark.keys("profiles", "p")
async def test_p_shows_what_a_reload_would_do_and_why(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.press("5")
        await desk.sees("ready")
        await desk.press("p")
        await desk.sees("plan: what a reload would do")


@pytest.mark.keys("profiles", "E")
async def test_capital_e_says_so_where_there_is_no_terminal(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.press("5")
        await desk.sees("ready")
        await desk.press("E")
        await desk.until(lambda: "no terminal to give away" in desk.said())


@pytest.mark.keys("profiles", "slash", "escape")
async def test_the_filter_shows_only_profiles_that_have_its_text(house: House) -> None:
    house.profile("other", "sessions = []\n")
    await house.operator.reload()
    async with dashboard(house) as desk:
        await desk.press("5")
        await desk.sees("other")
        listing = desk.app.screen.query_one(Listing)
        await desk.press("slash", *"oth", "enter")
        assert [Path(key).name for key in listing.keys] == ["other.toml"]
        await desk.sees("other.toml")
        await desk.press("escape")
        assert len(listing.keys) == 2


@pytest.mark.keys("profiles", "pagedown", "pageup", "home", "end")
@pytest.mark.keys("text", "up", "k", "down", "j", "pageup", "pagedown", "home", "end")
async def test_what_is_said_of_a_profile_is_scrolled_beside_the_list_and_in_itself(
    house: House,
) -> None:
    house.profile(text="".join(f"unknown_{number} = 1\n" for number in range(20)))
    await house.operator.reload()
    async with dashboard(house) as desk:
        await desk.press("5")
        await desk.sees("unknown_0")
        text = desk.app.screen.query_one(Document)
        page = text.size.height - 1
        assert text.max_scroll_y > page
        keys = (("pagedown", page), ("pageup", 0), ("end", text.max_scroll_y), ("home", 0))
        for key, row in keys:
            await desk.press(key)
            assert text.scroll_offset.y == row, key
        await desk.press("tab")
        assert text.has_focus
        for key, row in (("down", 1), ("j", 2), ("up", 1), ("k", 0), *keys):
            await desk.press(key)
            assert text.scroll_offset.y == row, key
