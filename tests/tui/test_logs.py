"""The logs screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepd.tui.widgets.listing import Listing
from deepd.tui.widgets.log_view import MOST_ROWS, LogView
from deepd.tui.world import Json
from tests.tui.world import Desk, House, dashboard

FREE = 'interrupt_on = ["write_file"]\nsessions = ["main", "side"]\n'


@pytest.fixture
async def free(house: House) -> House:
    """A house whose commands run at once, with a second session."""
    house.profile(text=FREE)
    await house.operator.reload()
    await house.ready("side")
    return house


def rows(desk: Desk) -> list[str]:
    return [row.line["text"] for row in desk.app.screen.query_one(LogView)._rows if row.is_first]


async def logs(desk: Desk, text: str) -> None:
    await desk.press("3")
    await desk.until(lambda: text in rows(desk))


async def test_kept_lines_come_first_and_new_ones_follow(free: House) -> None:
    await free.operator.exec("main", "echo before")
    async with dashboard(free) as desk:
        await logs(desk, "before")
        await free.operator.exec("main", "echo now; echo bad >&2")
        await desk.until(lambda: {"now", "bad"} <= set(rows(desk)))
        assert rows(desk).count("before") == rows(desk).count("now") == 1


@pytest.mark.keys("logs", "f", "home")
async def test_f_stays_and_follows_again(free: House) -> None:
    await free.operator.exec("main", "seq 200")
    async with dashboard(free) as desk:
        await logs(desk, "200")
        view = desk.app.screen.query_one(LogView)
        await desk.press("f")
        await desk.sees("stays here")
        await desk.press("home")
        await free.operator.exec("main", "echo new")
        await desk.until(lambda: "new" in rows(desk))
        assert view.scroll_offset.y == 0
        await desk.press("f")
        await desk.until(lambda: view.scroll_offset.y == view.max_scroll_y)


@pytest.mark.keys("logs", "slash", "n", "N", "y", "escape")
async def test_the_search_runs_in_the_daemon_and_n_goes_through_what_it_found(free: House) -> None:
    await free.operator.exec("main", "seq 300")
    async with dashboard(free) as desk:
        await logs(desk, "300")
        await desk.press("slash", *"re:^1.7$", "enter")
        await desk.sees("found: re:^1.7$")
        await desk.until(lambda: rows(desk) == [f"1{digit}7" for digit in range(10)])
        view = desk.app.screen.query_one(LogView)
        await desk.press("n", "n")
        assert view.chosen == "117"
        await desk.press("N")
        assert view.chosen == "107"
        await desk.press("y")
        assert desk.app.clipboard == "107"
        await desk.press("escape")
        await desk.until(lambda: "300" in rows(desk))


@pytest.mark.keys("logs", "w", "t")
async def test_w_wraps_long_lines_or_not_and_t_shows_times_or_not(free: House) -> None:
    await free.operator.exec("main", "printf 'x%.0s' $(seq 500)")
    async with dashboard(free) as desk:
        await logs(desk, "x" * 500)
        assert desk.screen().count("x") >= 500
        await desk.press("w")
        assert 0 < desk.screen().count("x") < 150
        await desk.press("w")
        view = desk.app.screen.query_one(LogView)
        assert view.times
        before = desk.screen().count(":")
        await desk.press("t")
        assert desk.screen().count(":") < before


@pytest.mark.keys("logs", "space", "enter")
async def test_space_follows_several_sessions_and_enter_only_one(free: House) -> None:
    await free.operator.exec("main", "echo in-main")
    await free.operator.exec("side", "echo in-side")
    async with dashboard(free) as desk:
        await logs(desk, "in-main")
        assert "in-side" not in rows(desk)
        await desk.press("down", "space")
        await desk.until(lambda: {"in-main", "in-side"} <= set(rows(desk)))
        await desk.sees("main, side")
        await desk.press("enter")
        await desk.until(lambda: "in-side" in rows(desk) and "in-main" not in rows(desk))


async def test_l_follows_the_session_under_the_cursor_and_no_other(free: House) -> None:
    await free.operator.exec("side", "echo in-side")
    async with dashboard(free) as desk:
        await desk.sees("side")
        await desk.press("down", "l")
        await desk.until(lambda: "in-side" in rows(desk))
        assert desk.app.screen.query_one(Listing).key == "side"
        assert {row.session for row in desk.app.screen.query_one(LogView)._rows} == {"side"}


@pytest.mark.keys("logs", "ctrl+s")
async def test_ctrl_s_writes_all_that_is_kept_and_nothing_a_terminal_obeys(
    free: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await free.operator.exec("main", "seq 30000; printf '\\033[31mred\\n'")
    async with dashboard(free) as desk:
        await logs(desk, "30000")
        await desk.press("ctrl+s")
        await desk.until(lambda: "written to" in desk.said())
    (path,) = tmp_path.glob("deepd-main-*.log")
    lines = path.read_text().split("\n")
    assert [line for line in lines if line.isdecimal()] == [str(n) for n in range(1, 30001)]
    assert "\\u{1b}[31mred" in lines
    assert path.stat().st_mode & 0o077 == 0


async def test_after_a_restart_of_the_daemon_no_line_is_there_twice(free: House) -> None:
    await free.operator.exec("main", "echo once")
    async with dashboard(free) as desk:
        await logs(desk, "once")
        await free.stop(keep=True)
        await desk.sees("DISCONNECTED")
        await free.start()
        await free.ready()
        await free.operator.exec("main", "echo twice")
        await desk.until(lambda: "twice" in rows(desk))
        assert rows(desk).count("once") == 1


async def test_the_window_is_bounded_and_keeps_the_newest(free: House) -> None:
    async with dashboard(free) as desk:
        await desk.press("3")
        await desk.sees("following")
        view = desk.app.screen.query_one(LogView)
        lines = [_line(str(number)) for number in range(MOST_ROWS + 500)]
        view.extend([("main", line) for line in lines])
        assert len(view._rows) == MOST_ROWS
        assert view._rows[-1].line["text"] == str(MOST_ROWS + 499)


@pytest.mark.keys("logs", "pagedown", "pageup", "home", "end")
async def test_the_page_keys_scroll_the_log_beside_the_list(free: House) -> None:
    await free.operator.exec("main", "seq 300")
    async with dashboard(free) as desk:
        await logs(desk, "300")
        view = desk.app.screen.query_one(LogView)
        await desk.until(lambda: view.scroll_offset.y == view.max_scroll_y > 0)
        await desk.press("pageup")
        before = view.scroll_offset.y
        assert 0 < before < view.max_scroll_y
        assert not view.follows
        await desk.press("home")
        assert view.scroll_offset.y == 0
        await desk.press("pagedown")
        assert view.scroll_offset.y == view.size.height - 1
        await desk.press("end")
        assert view.scroll_offset.y == view.max_scroll_y
        assert view.follows


@pytest.mark.keys("log", "up", "k", "down", "j", "pageup", "pagedown", "home", "end")
async def test_in_the_log_itself_all_keys_scroll(free: House) -> None:
    await free.operator.exec("main", "seq 300")
    async with dashboard(free) as desk:
        await logs(desk, "300")
        view = desk.app.screen.query_one(LogView)
        await desk.until(lambda: view.scroll_offset.y == view.max_scroll_y > 0)
        await desk.press("tab")
        assert view.has_focus
        page = view.size.height - 1
        for key, row in (
            ("home", 0),
            ("down", 1),
            ("j", 2),
            ("up", 1),
            ("k", 0),
            ("pagedown", page),
            ("pageup", 0),
            ("end", view.max_scroll_y),
        ):
            await desk.press(key)
            assert view.scroll_offset.y == row, key


async def test_lines_that_came_too_fast_are_counted_in_their_place(free: House) -> None:
    async with dashboard(free) as desk:
        await desk.press("3")
        await desk.sees("following")
        await free.operator.exec("main", "seq 100000")
        await desk.until(lambda: "100000" in rows(desk))
        left_out = [row for row in rows(desk) if "came faster than they can be read" in row]
        assert left_out
        await desk.press("pageup", "pageup", "home")
        shown = [row for row in rows(desk) if row.isdecimal()]
        assert shown == sorted(shown, key=int)


def _line(text: str) -> Json:
    return {"at": 0.0, "kind": "output", "stream": 1, "text": text, "call": "", "number": 1}
