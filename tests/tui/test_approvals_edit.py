"""Approving what the person made of a call."""

from __future__ import annotations

import pytest

from deepd.tui.dialogs.edit import Edit
from deepd.tui.dialogs.fields import ExactText
from tests.tui.approving import approvals
from tests.tui.world import House, dashboard


@pytest.mark.keys("approvals", "e")
async def test_e_approves_what_the_person_made_of_it(house: House) -> None:
    call = await house.hold("echo wrong")
    async with dashboard(house) as desk:
        await approvals(desk, "echo wrong")
        await desk.press("e")
        await desk.until(lambda: isinstance(desk.app.screen, Edit))
        desk.app.screen.query_one("#text-0", ExactText).text = "echo right"
        await desk.think()
        await desk.press("ctrl+s")
        await desk.sees("nothing waits for you")
    assert (await house.ended(call))["state"] == "finished"
    assert await house.output(call) == "right\n"


async def test_edited_arguments_that_do_not_fit_are_refused_in_the_dialog(house: House) -> None:
    call = await house.hold("echo one")
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        await desk.press("e")
        await desk.until(lambda: isinstance(desk.app.screen, Edit))
        await desk.think()
        desk.app.screen.query_one("#rest", ExactText).text = '{"comand": 1}'
        await desk.press("ctrl+s")
        await desk.sees("unknown argument 'comand'")
        desk.app.screen.query_one("#rest", ExactText).text = "{"
        await desk.press("ctrl+s")
        await desk.sees("the other arguments are not JSON")
        assert await house.state(call) == "held"


async def test_an_edit_of_nothing_is_what_was_asked_for(house: House) -> None:
    hostile = "printf '%s' '\\u{1b} \x1b[31m \u202e \u200b \t · → ⏎' # end"
    call = await house.hold(hostile)
    async with dashboard(house) as desk:
        await approvals(desk, "printf")
        await desk.press("e")
        await desk.until(lambda: isinstance(desk.app.screen, Edit))
        await desk.think()
        await desk.press("ctrl+s")
        await desk.until(lambda: not desk.app.world.approvals)
    await house.ended(call)
    approval = await house.operator.approval(call["id"])
    assert approval["approved_args"] == {"command": hostile}
