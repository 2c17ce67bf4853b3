"""`python -m tests.tui.screenshots`: the pictures of the README, drawn by the app itself.

The daemon in them is a script and its clock stands still, so that a picture changes only when the
dashboard does.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from tests.tui.looks import at_rest
from tests.tui.scene import CONTENT
from tests.tui.scripted import scene

FOLDER = Path(__file__).parents[2] / ".screenshots"
WIDTH = 110
PICTURES = {
    "sessions": (("1",), "research", 13, False),
    "approvals": (("2",), "scripts/release.sh", 21, False),
    "change": (("2", "down"), "return sum", 24, True),
}
"""Each one's keys, a text that is then in sight, its rows, and whether it is in the light theme."""


async def draw(name: str) -> str:
    """Return a picture as SVG."""
    keys, mark, rows, light = PICTURES[name]
    os.environ["TZ"] = "UTC"
    time.tzset()
    async with scene(CONTENT, size=(WIDTH, rows), light=light) as desk:
        for key in keys:
            await desk.press(key)
        await desk.sees(mark)
        await at_rest(desk)
        svg = desk.app.export_screenshot(title="deepd dashboard")
    # Some viewers take blanks away at both ends of a text, and then a column is not in line.
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


async def main() -> None:
    """Draw all of them anew."""
    FOLDER.mkdir(exist_ok=True)
    for name in PICTURES:
        (FOLDER / f"{name}.svg").write_text(await draw(name))


if __name__ == "__main__":
    asyncio.run(main())
