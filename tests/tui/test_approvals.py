"""The approvals screen: what is shown is what runs, and only a person who looked decides."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from deepd.tui.dialogs.edit import Edit
from deepd.tui.dialogs.fields import ExactText
from deepd.tui.dialogs.many import Many
from deepd.tui.dialogs.reason import Reason
from deepd.tui.dialogs.scope import Scope
from deepd.tui.page import Page
from deepd.tui.widgets.document import Document
from deepd.tui.widgets.field import Field
from deepd.tui.widgets.listing import Listing
from tests.tui.world import HELD, Desk, House, dashboard

if TYPE_CHECKING:
    from collections.abc import Sequence


async def approvals(desk: Desk, text: str) -> None:
    """Go to the approvals, see a text, and think."""
    await desk.press("2")
    await desk.sees(text)
    await desk.think()


def is_open(desk: Desk, dialog: type) -> bool:
    return isinstance(desk.app.screen, dialog)


async def states(house: House, calls: Sequence[dict[str, Any]]) -> list[str]:
    return [await house.state(call) for call in calls]


async def test_a_approves_once_exactly_what_is_shown(house: House) -> None:
    call = await house.hold("echo $((6*7)) >> ran; cat ran")
    async with dashboard(house) as desk:
        await approvals(desk, "echo $((6*7)) >> ran; cat ran")
        await desk.press("a", "a")
        await desk.sees("nothing waits for you")
    assert (await house.ended(call))["state"] == "finished"
    assert await house.output(call) == "42\n"


async def test_a_does_nothing_within_400_ms_of_an_item_taking_the_selection(house: House) -> None:
    first, second = await house.hold("echo first"), await house.hold("echo second")
    async with dashboard(house) as desk:
        await approvals(desk, "echo first")
        await desk.press("down", "a")
        assert await states(house, [first, second]) == ["held", "held"]
        await desk.think()
        await desk.press("a")
        await desk.until(lambda: len(desk.app.world.approvals) == 1)
        # The first one is in front now, and this key was meant for the one that went.
        await desk.press("a")
        assert await house.state(first) == "held"
    assert (await house.ended(second))["state"] == "finished"


async def test_a_item_that_arrives_under_the_finger_is_not_decided(house: House) -> None:
    async with dashboard(house) as desk:
        await approvals(desk, "nothing waits for you")
        call = await house.hold("echo sudden")
        await desk.until(lambda: desk.app.world.approvals)
        await desk.press("a")
        assert await house.state(call) == "held"


async def test_a_click_alone_decides_nothing(house: House) -> None:
    calls = [await house.hold("echo one"), await house.hold("echo two")]
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        width, height = desk.app.size
        # The bars, the list, the call with what is before and after it, and the keys.
        for y in (0, 1, 3, 4, 5, 8, height - 1):
            for x in (3, width // 2, width - 30):
                await desk.click(x, y)
                assert isinstance(desk.app.screen, Page)
        await desk.press("2")
        assert await states(house, calls) == ["held", "held"]
        assert isinstance(desk.app.screen, Page)


async def test_closing_a_dialog_decides_nothing_and_passes_no_key_on(house: House) -> None:
    call = await house.hold("echo one")
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        for key, dialog in (("d", Reason), ("D", Reason), ("e", Edit), ("A", Scope)):
            await desk.press(key)
            await desk.until(partial(is_open, desk, dialog))
            await desk.press("escape", "a")
            assert isinstance(desk.app.screen, Page)
            assert await house.state(call) == "held"
            await desk.think()


async def test_what_changes_under_a_dialog_can_be_approved_once_that_is_closed(
    house: House,
) -> None:
    call = await house.hold("echo one")
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        await desk.press("d")
        await desk.until(lambda: isinstance(desk.app.screen, Reason))
        late = await house.hold("echo late")
        approval = await house.operator.approval(call["id"])
        await house.operator.decide(call["id"], approve=False, fingerprint=approval["fingerprint"])
        await desk.until(lambda: [item["id"] for item in desk.app.world.approvals] == [late["id"]])
        await desk.press("escape")
        await desk.sees("echo late")
        await desk.think()
        await desk.press("a")
        await desk.sees("nothing waits for you")
    assert (await house.ended(late))["state"] == "finished"


async def test_d_denies_with_a_reason_that_the_caller_reads(house: House) -> None:
    call = await house.hold("rm -rf data")
    async with dashboard(house) as desk:
        await approvals(desk, "rm -rf data")
        await desk.press("d")
        await desk.until(lambda: isinstance(desk.app.screen, Reason))
        await desk.press(*"use a copy")
        await desk.think()
        await desk.press("enter")
        await desk.sees("nothing waits for you")
    ended = await house.ended(call)
    assert (ended["state"], ended["reason"]) == ("denied", "use a copy")


async def test_capital_d_also_ends_the_callers_other_calls(house: House) -> None:
    calls = [await house.hold("echo one"), await house.hold("echo two")]
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        await desk.press("D")
        await desk.sees("end all calls of planner-7")
        await desk.think()
        await desk.press("enter")
        await desk.sees("nothing waits for you")
    assert await states(house, calls) == ["denied", "cancelled"]


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


async def test_capital_a_remembers_the_call_so_that_the_next_one_is_not_asked(house: House) -> None:
    call = await house.hold("echo push")
    async with dashboard(house) as desk:
        await approvals(desk, "echo push")
        await desk.press("A")
        await desk.sees("remembered is this very call")
        listing = desk.app.screen.query_one("#scopes", Listing)
        assert listing.keys == ["session"]
        desk.app.screen.query_one("#count", Field).value = "1"
        desk.app.screen.query_one("#until", Field).value = "soon"
        await desk.think()
        await desk.press("ctrl+s")
        await desk.sees("'soon' is not a duration")
        assert await house.state(call) == "held"
        desk.app.screen.query_one("#until", Field).value = "1h"
        await desk.press("ctrl+s")
        await desk.sees("nothing waits for you")
    assert (await house.ended(call))["state"] == "finished"
    (grant,) = await house.operator.grants()
    assert (grant["scope"], grant["count"]) == ("session", 1)
    assert await house.state(await house.hold("echo push")) != "held"
    assert await house.state(await house.hold("echo push")) == "held"
    assert await house.state(await house.hold("echo push again")) == "held"


async def test_a_scope_that_the_profile_does_not_allow_is_not_offered(house: House) -> None:
    house.profile(text=HELD + "[approvals]\nremember = []\n")
    await house.operator.reload()
    call = await house.hold("echo push")
    async with dashboard(house) as desk:
        await approvals(desk, "echo push")
        await desk.press("A")
        await desk.sees("the profile lets nothing be remembered")
        await desk.think()
        await desk.press("ctrl+s")
        assert isinstance(desk.app.screen, Scope)
    assert await house.state(call) == "held"


async def test_a_long_call_is_approved_only_after_its_end_was_on_screen(house: House) -> None:
    command = "\n".join(f"echo {number}" for number in range(200))
    call = await house.hold(command)
    async with dashboard(house) as desk:
        await approvals(desk, "echo 1")
        await desk.press("a")
        assert await house.state(call) == "held"
        assert "read it to its end" in desk.said()
        await desk.press("end")
        await desk.until(lambda: desk.app.screen.query_one(Document).end_seen)
        await desk.think()
        await desk.press("a")
        await desk.sees("nothing waits for you")
    assert (await house.ended(call))["state"] == "finished"


async def test_several_marked_calls_are_shown_in_full_before_they_are_approved(
    house: House,
) -> None:
    calls = [await house.hold(f"echo {word}") for word in ("one", "two", "three")]
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        await desk.press("space")
        await desk.sees("echo two")
        await desk.press("space", "up")
        await desk.think()
        await desk.press("a")
        await desk.until(lambda: isinstance(desk.app.screen, Many))
        document = desk.app.screen.query_one(Document)
        shown = [line.text for line in document.lines]
        assert "echo one" in shown
        assert "echo two" in shown
        assert "echo three" not in shown
        await desk.press("a")
        assert await states(house, calls) == ["held", "held", "held"]
        await desk.press("pagedown", "pagedown", "pagedown")
        await desk.until(lambda: document.end_seen)
        await desk.think()
        await desk.press("a")
        await desk.until(lambda: len(desk.app.world.approvals) == 1)
    for call in calls[:2]:
        assert (await house.ended(call))["state"] == "finished"
    assert await house.state(calls[2]) == "held"


async def mark_two_of_three(house: House, desk: Desk) -> list[dict[str, Any]]:
    """Hold three calls, and mark the first two."""
    calls = [await house.hold(f"echo {word}") for word in ("one", "two", "three")]
    await approvals(desk, "echo one")
    await desk.press("space")
    await desk.sees("echo two")
    await desk.press("space")
    await desk.sees("2 marked")
    await desk.think()
    return calls


async def test_several_marked_calls_are_denied_with_one_reason_and_no_other(house: House) -> None:
    async with dashboard(house) as desk:
        calls = await mark_two_of_three(house, desk)
        await desk.press("d")
        await desk.until(lambda: isinstance(desk.app.screen, Reason))
        await desk.sees("deny 2 calls")
        shown = desk.screen()
        assert "echo one" in shown
        assert "echo two" in shown
        await desk.press("enter")  # too fast to be meant
        assert await states(house, calls) == ["held", "held", "held"]
        await desk.press(*"not now")
        await desk.think()
        await desk.press("enter")
        await desk.until(lambda: len(desk.app.world.approvals) == 1)
    ended = [await house.ended(call) for call in calls[:2]]
    assert [(call["state"], call["reason"]) for call in ended] == [("denied", "not now")] * 2
    assert await house.state(calls[2]) == "held"


async def test_several_marked_calls_are_denied_and_their_caller_stopped(house: House) -> None:
    async with dashboard(house) as desk:
        calls = await mark_two_of_three(house, desk)
        await desk.press("D")
        await desk.sees("deny 2 calls, and end all calls of planner-7")
        await desk.think()
        await desk.press("enter")
        await desk.sees("nothing waits for you")
    seen = await states(house, calls)
    assert seen[0] == "denied"
    assert set(seen[1:]) <= {"denied", "cancelled"}


async def test_space_takes_a_mark_away_again(house: House) -> None:
    async with dashboard(house) as desk:
        calls = await mark_two_of_three(house, desk)
        await desk.press("up", "up", "space")
        await desk.sees("1 marked")
        await desk.press("space")
        await desk.until(lambda: "marked" not in desk.screen())
        await desk.press("up", "up")
        await desk.sees("echo one")
        await desk.think()
        await desk.press("a")
        await desk.until(lambda: len(desk.app.world.approvals) == 2)
    assert await states(house, calls[1:]) == ["held", "held"]


async def test_with_several_marked_nothing_is_edited_or_remembered(house: House) -> None:
    async with dashboard(house) as desk:
        calls = await mark_two_of_three(house, desk)
        for key in ("A", "e"):
            await desk.press(key)
            assert isinstance(desk.app.screen, Page)
            assert "several are marked" in desk.said()
    assert await states(house, calls) == ["held", "held", "held"]


async def test_who_attaches_late_sees_the_same_pending_list(house: House) -> None:
    await house.hold("echo one")
    await house.hold("echo two")
    seen = []
    for _ in range(2):
        async with dashboard(house, page="approvals") as desk:
            await desk.sees("echo one")
            seen.append(desk.app.screen.query_one("#held", Listing).keys)
    assert seen[0] == seen[1]
    assert len(seen[0]) == 2


async def test_a_decision_elsewhere_takes_the_item_away(house: House) -> None:
    call = await house.hold("echo one")
    async with dashboard(house) as desk:
        await approvals(desk, "echo one")
        approval = await house.operator.approval(call["id"])
        await house.operator.decide(
            call["id"], approve=False, fingerprint=approval["fingerprint"], reason="no"
        )
        await desk.sees("nothing waits for you")


async def test_a_read_only_dashboard_decides_nothing(house: House) -> None:
    call = await house.hold("echo one")
    async with dashboard(house, read_only=True) as desk:
        await approvals(desk, "echo one")
        await desk.sees("READ ONLY")
        for key in ("a", "A", "e", "d", "D"):
            await desk.press(key)
            assert isinstance(desk.app.screen, Page)
        assert "only looks" in desk.said()
    assert await house.state(call) == "held"


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


async def test_what_an_agent_calls_itself_is_never_read_as_markup(house: House) -> None:
    text = "echo [@click=app.exit]x[/] [/] [bold red]y"
    call = await house.hold(text)
    async with dashboard(house, size=(100, 30)) as desk:
        await approvals(desk, text)
        await desk.pilot.click("#call", offset=(10, 4))
        await desk.settle()
        assert desk.app.is_running
    assert await house.state(call) == "held"
