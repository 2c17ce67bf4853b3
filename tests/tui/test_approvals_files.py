"""What a held call would change in a file, on the approvals screen."""

from __future__ import annotations

import asyncio

import pytest

from deepd.tui.widgets.document import Document
from tests.tui.approving import approvals
from tests.tui.world import House, dashboard


@pytest.mark.keys("approvals", "v")
async def test_a_change_of_a_file_is_shown_against_the_file_as_it_is(house: House) -> None:
    await house.operator.exec("main", "true", wait=False)
    first = await house.ask(
        "write_file", {"path": house.path("a.py"), "content": "one\ntwo\nthree\n"}
    )
    async with dashboard(house) as desk:
        await approvals(desk, "execute")
        await desk.press("down")
        await desk.sees("makes /")
        await desk.sees("+ two")
        approval = await house.operator.approval(first["id"])
        await house.operator.decide(first["id"], approve=True, fingerprint=approval["fingerprint"])
        await house.ended(first)
        edit = await house.ask(
            "edit_file", {"path": house.path("a.py"), "old": "two", "new": "zwei"}
        )
        await desk.until(lambda: desk.app.world.approval(edit["id"]))
        await desk.press("down")
        await desk.sees("+1 -1")
        await desk.sees("- two")
        await desk.sees("+ zwei")
        await desk.press("v")
        document = desk.app.screen.query_one(Document)
        await desk.until(lambda: "the whole file after it" in str(document.lines))
        assert "- two" not in desk.screen()
        assert "+ three" in desk.screen()


async def test_content_that_came_as_a_body_is_shown_too(house: House) -> None:
    writing = house.agent.write("main", house.path("b.txt"), "from a body\n")
    task = asyncio.create_task(writing)
    async with dashboard(house) as desk:
        await approvals(desk, "write_file")
        await desk.sees("+ from a body")
        await desk.think()
        await desk.press("a")
        assert (await task)["size"] == 12
