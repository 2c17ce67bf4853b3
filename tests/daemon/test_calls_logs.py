"""A session's log: what happened and what was printed, searched in the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deepd.daemon.log_line import MAX_LINE, LogLine
from deepd.daemon.logs import LogService
from deepd.errors import ArgumentsError
from tests.daemon.call_world import MAIN, World, daemons


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with daemons(tmp_path) as worlds:
        yield await worlds.start()


@pytest.fixture
def logs(world: World) -> LogService:
    return LogService(world.store, world.bus, world.calls)


async def each(batches: AsyncIterator[list[LogLine]]) -> AsyncIterator[LogLine]:
    async for batch in batches:
        for line in batch:
            yield line


async def texts(batches: AsyncIterator[list[LogLine]]) -> list[str]:
    return [line.text for line in [line async for line in each(batches)] if line.kind == "output"]


async def test_output_stands_before_the_end_of_its_call(world: World, logs: LogService) -> None:
    await world.run("echo one; echo two")
    lines = [line async for line in each(logs.lines(MAIN))]
    assert [line.kind for line in lines[-3:]] == ["output", "output", "call_finished"]
    assert [line.text for line in lines[-3:-1]] == ["one", "two"]


async def test_a_search_finds_plain_text_and_expressions(world: World, logs: LogService) -> None:
    await world.run("seq 1 200")
    assert await texts(logs.lines(MAIN, search="19")) == [
        "19", "119", *(str(number) for number in range(190, 200))
    ]  # fmt: skip
    assert await texts(logs.lines(MAIN, search="re:^1.$")) == [str(n) for n in range(10, 20)]
    with pytest.raises(ArgumentsError):
        await texts(logs.lines(MAIN, search="re:("))


async def test_only_the_last_lines_are_shown_and_long_ones_are_cut(
    world: World, logs: LogService
) -> None:
    await world.run("seq 1 100; head -c 100000 /dev/zero | tr '\\0' x; echo")
    lines = [line async for line in each(logs.lines(MAIN, limit=20))]
    assert len(lines) == 20
    assert max(len(line.text) for line in lines) < MAX_LINE + 100


async def test_only_what_came_after_an_event_is_shown(world: World, logs: LogService) -> None:
    await world.run("echo before")
    after = world.bus.last()
    await world.run("echo after")
    assert await texts(logs.lines(MAIN, after=after)) == ["after"]


async def test_a_follower_sees_what_runs_line_by_line(world: World, logs: LogService) -> None:
    wait = "until [ -e go ]; do sleep 0.01; done"
    call = await world.submit(command=f"echo begun; {wait}; echo done")
    seen: list[str] = []

    async def follow() -> None:
        async for line in each(logs.lines(MAIN, follow=True)):
            if line.kind == "output":
                seen.append(line.text)
            if line.text == "begun":
                (world.machine.work_dir / "go").touch()
                await world.end(call)
                await world.run("echo next")
            if line.text == "next":
                return

    await asyncio.wait_for(follow(), 15)
    assert seen == ["begun", "done", "next"]


async def test_who_wants_the_newest_gets_each_line_of_what_is_slow(
    world: World, logs: LogService
) -> None:
    wait = "until [ -e go ]; do sleep 0.01; done"
    call = await world.submit(command=f"seq 1 50; {wait}; echo done")
    seen: list[LogLine] = []

    async def follow() -> None:
        async for line in each(logs.lines(MAIN, follow=True, newest=100)):
            seen.append(line)
            if line.text == "50":
                (world.machine.work_dir / "go").touch()
            if line.kind == "call_finished":
                return

    await asyncio.wait_for(follow(), 15)
    await world.end(call)
    assert [line.text for line in seen if line.kind == "output"] == [
        *(str(number) for number in range(1, 51)),
        "done",
    ]


async def test_who_wants_the_newest_is_told_how_many_lines_are_left_out(
    world: World, logs: LogService
) -> None:
    call = await world.submit(command="until [ -e go ]; do sleep 0.01; done; seq 1 100000")
    seen: list[LogLine] = []

    async def follow() -> None:
        async for line in each(logs.lines(MAIN, follow=True, limit=10, newest=5)):
            seen.append(line)
            if line.kind == "call_started":
                (world.machine.work_dir / "go").touch()
            if line.kind == "call_finished":
                return

    await asyncio.wait_for(follow(), 15)
    await world.end(call)
    printed = [int(line.text) for line in seen if line.kind == "output"]
    skipped = sum(
        int(line.text.split()[0].replace(",", "")) for line in seen if line.kind == "skipped"
    )
    assert printed == sorted(printed)
    assert printed[-5:] == list(range(99_996, 100_001))
    assert skipped == 100_000 - len(printed) > 50_000


async def test_a_search_counts_only_what_it_found(world: World, logs: LogService) -> None:
    call = await world.submit(command="until [ -e go ]; do sleep 0.01; done; seq 1 1000; echo end")
    seen: list[LogLine] = []

    async def follow() -> None:
        async for line in each(
            logs.lines(MAIN, follow=True, search="re:^7|^end", limit=2, newest=2)
        ):
            seen.append(line)
            if line.text == "end":
                return

    following = asyncio.create_task(follow())
    (world.machine.work_dir / "go").touch()
    await world.end(call)
    await asyncio.wait_for(following, 15)
    left_out = [line.text for line in seen if line.kind == "skipped"]
    printed = [line.text for line in seen if line.kind == "output"]
    assert sum(int(text.split()[0]) for text in left_out) + len(printed) == 112
