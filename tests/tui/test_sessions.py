"""The sessions screen, and what works on every screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepd.tui.dialogs.confirm import Confirm
from deepd.tui.dialogs.details import Details
from deepd.tui.page import Page
from deepd.tui.widgets.bar import PAGES
from deepd.tui.widgets.document import Document
from deepd.tui.widgets.listing import Listing
from tests.eventually import eventually
from tests.tui.world import Desk, House, dashboard


async def session(house: House, name: str = "main") -> str:
    return str((await house.operator.session(name))["state"])


async def test_a_session_is_shown_with_its_profile_state_and_engine(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.sees("ready")
        screen = desk.screen()
        for word in ("main", "strict", "fake", "1 session"):
            assert word in screen


@pytest.mark.parametrize("number", range(5))
async def test_the_numbers_and_the_tabs_go_to_the_screens(house: House, number: int) -> None:
    async with dashboard(house) as desk:
        await desk.press("2", str(number + 1))
        assert desk.app.current_mode == PAGES[number].lower()
        await desk.press("2" if number != 1 else "1")
        at = desk.screen().split("\n")[1].index(PAGES[number])
        await desk.pilot.click("#tabs", offset=(at, 0))
        await desk.until(lambda: desk.app.current_mode == PAGES[number].lower())


async def test_enter_shows_the_details_of_a_session(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.sees("ready")
        await desk.press("enter")
        await desk.sees("container number")
        await desk.press("escape")
        assert isinstance(desk.app.screen, Page)


async def test_l_follows_what_the_session_prints(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.sees("ready")
        await desk.press("l")
        await desk.sees("following")
        assert desk.app.current_mode == "logs"


async def test_p_pauses_and_resumes(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.sees("ready")
        await desk.press("p")
        await desk.sees("paused")
        assert await session(house) == "paused"
        await desk.press("p")
        await desk.sees("ready")


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


async def test_question_mark_says_what_every_key_of_the_screen_does(house: House) -> None:
    async with dashboard(house, size=(120, 60)) as desk:
        for number, own in enumerate(("Freeze", "Deny with", "Search in", "all of an", "$EDITOR")):
            await desk.press(str(number + 1), "question_mark")
            await desk.until(lambda: isinstance(desk.app.screen, Details))
            said = "\n".join(line.text for line in desk.app.screen.query_one(Document).lines)
            assert own in said
            assert "Leave; the daemon goes on" in said
            await desk.press("escape")


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


async def test_the_theme_changes_and_q_leaves_the_daemon_alone(house: House) -> None:
    async with dashboard(house) as desk:
        await desk.press("ctrl+t")
        assert desk.app.theme == "deepd-light"
        await desk.press("q")
        await eventually(lambda: not desk.app.is_running)
    assert (await house.operator.health())["status"] == "ok"


async def test_a_read_only_dashboard_changes_no_session(house: House) -> None:
    async with dashboard(house, read_only=True) as desk:
        await desk.sees("READ ONLY")
        for key in ("p", "x", "X", "s"):
            await desk.press(key)
            assert isinstance(desk.app.screen, Page)
        assert await session(house) == "ready"


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
