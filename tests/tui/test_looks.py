"""How every screen and dialog looks at 60, 80 and 120 columns, in both themes.

What is held is in `__snapshots__`; `pytest tests/tui/test_looks.py --snapshot-update` takes what
is there now, to be read before it is kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from tests.tui.looks import Cell, at_rest, render
from tests.tui.scene import CONTENT, DISCONNECTED, EMPTY, NO_DAEMON, WITH_STALE
from tests.tui.scripted import Script, scene
from tests.tui.world import Desk

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

SIZES = ((120, 30), (80, 24), (60, 24))
PAGES = ("sessions", "approvals", "logs", "events", "profiles")
FULL = ("research", "git push origin main", "call finished", "daemon started", "revision")
NOTHING = (
    "no sessions yet",
    "nothing waits for you",
    "no sessions yet",
    "nothing has happened yet",
    "no profiles",
)
UNREACHED = ("deepd start -c PROFILE",) * 5


class TextExtension(SingleFileSnapshotExtension):
    """A snapshot is a text file."""

    _write_mode = WriteMode.TEXT
    _file_extension = "txt"


@pytest.fixture
def looks(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Compare with what is kept."""
    return snapshot.use_extension(TextExtension)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let it be the same time of day everywhere."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


Cells = list[list[Cell]]


async def tour(desk: Desk, marks: tuple[str, ...]) -> list[Cells]:
    """Go through the screens, and return what each looks like."""
    seen = []
    for number, mark in enumerate(marks):
        await desk.press(str(number + 1))
        if mark == "call finished" and mark not in desk.screen():
            await desk.press("down", "enter")
        await desk.sees(mark)
        seen.append(await at_rest(desk))
    return seen


@pytest.mark.parametrize(
    ("script", "marks", "badge"),
    [
        pytest.param(CONTENT, FULL, "● docker", id="content"),
        pytest.param(EMPTY, NOTHING, "0 sessions", id="empty"),
        pytest.param(WITH_STALE, FULL, "⚠ STALE CONFIG strict.toml", id="stale"),
        pytest.param(DISCONNECTED, FULL, "DISCONNECTED", id="disconnected"),
        pytest.param(NO_DAEMON, UNREACHED, "DISCONNECTED", id="no daemon"),
    ],
)
async def test_every_screen_looks_as_it_did(
    script: Script, marks: tuple[str, ...], badge: str, looks: SnapshotAssertion
) -> None:
    seen: dict[str, list[str]] = {page: [] for page in PAGES}
    async with scene(script, size=SIZES[0]) as desk:
        await desk.sees(badge)
        for size in SIZES:
            await desk.pilot.resize_terminal(*size)
            await desk.settle()
            dark = await tour(desk, marks)
            desk.app.action_theme()
            light = await tour(desk, marks)
            desk.app.action_theme()
            for page, one, other in zip(PAGES, dark, light, strict=True):
                seen[page].append(f"{size[0]} x {size[1]}\n{render(one, other)}")
    for page, views in seen.items():
        assert "\n".join(views) == looks(name=page)


@pytest.mark.parametrize(
    ("keys", "mark"),
    [
        pytest.param("1 enter", "container number", id="details"),
        pytest.param("1 X", "Its workspace stays", id="confirm"),
        pytest.param("1 question_mark", "here", id="help"),
        pytest.param("2 see:planner-7 down", "result += row.price", id="edit_file"),
        pytest.param("2 see:planner-7 down down", "make deploy", id="write_file"),
        pytest.param("2 see:planner-7 A", "session", id="scope"),
        pytest.param("2 see:planner-7 e", "other arguments", id="edit"),
        pytest.param("2 see:planner-7 d", "deny", id="reason"),
        pytest.param(
            "2 see:planner-7 space see:-2,10 space see:47 a", "approve these 2 calls", id="many"
        ),
        pytest.param("5 p", "what a reload would do", id="plan"),
    ],
)
async def test_every_dialog_looks_as_it_did(keys: str, mark: str, looks: SnapshotAssertion) -> None:
    views = []
    async with scene(CONTENT, size=SIZES[0]) as desk:
        for word in keys.split():
            if word.startswith("see:"):
                await desk.sees(word.removeprefix("see:"))
                continue
            await desk.think()
            await desk.press(word)
        for size in SIZES:
            await desk.pilot.resize_terminal(*size)
            await desk.settle()
            await desk.sees(mark)
            dark = await at_rest(desk)
            desk.app.action_theme()
            await desk.settle()
            views.append(f"{size[0]} x {size[1]}\n{render(dark, await at_rest(desk))}")
            desk.app.action_theme()
    assert "\n".join(views) == looks
