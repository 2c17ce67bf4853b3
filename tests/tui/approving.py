"""What the tests of the approvals screen have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.tui.world import Desk, House


async def approvals(desk: Desk, text: str) -> None:
    """Go to the approvals, see a text, and think."""
    await desk.press("2")
    await desk.sees(text)
    await desk.think()


def is_open(desk: Desk, dialog: type) -> bool:
    """Whether a dialog of that kind is in front."""
    return isinstance(desk.app.screen, dialog)


async def states(house: House, calls: Sequence[dict[str, Any]]) -> list[str]:
    """Return where each call is."""
    return [await house.state(call) for call in calls]
