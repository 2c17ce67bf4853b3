"""Events over the API: lines and server-sent events, from a number on."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from deepd.errors import BadRequestError, GoneError
from tests.daemon.api import served
from tests.eventually import eventually


async def test_a_snapshot_and_what_follows_it_have_no_gap(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        api.world.events.publish()
        snapshot = (await api.operator.request("GET", "/v1/sessions")).json()
        api.world.events.publish()
        api.world.events.publish()
        async with aclosing(api.operator.events(snapshot["last_event"], follow=True)) as events:
            assert [(await anext(events))["id"] for _ in range(2)] == [2, 3]


async def test_events_without_follow_end(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        for _ in range(2500):
            api.world.events.publish()
        assert [event["id"] async for event in api.operator.events(2498)] == [2499, 2500]
        assert len([event async for event in api.operator.events(0)]) == 2500
        assert len([event async for event in api.operator.events()]) == 1000


async def test_following_from_now_on_shows_only_what_is_new(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        api.world.events.publish()
        async with aclosing(api.operator.events(follow=True)) as events:
            first = asyncio.ensure_future(anext(events))
            await eventually(lambda: api.world.events.followers)
            api.world.events.publish("new")
            assert (await first)["session"] == "new"


async def test_numbers_that_are_not_kept_are_gone(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        api.world.events.first = 10
        api.world.events.publish()
        for follow in (False, True):
            with pytest.raises(GoneError):
                await anext(api.operator.events(3, follow=follow))


async def test_a_slow_reader_is_told_where_to_resume(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        api.world.events.room = 0
        for _ in range(5):
            api.world.events.publish()
        lines = [line async for line in api.operator.events(2, follow=True)]
        assert lines == [{"kind": "dropped", "resume_after": 2}]


async def test_a_browser_gets_server_sent_events_and_resumes_by_header(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        for _ in range(3):
            api.world.events.publish()
        reply = await api.operator.request(
            "GET", "/v1/events", headers={"Accept": "text/event-stream", "Last-Event-ID": "2"}
        )
        assert reply.headers["content-type"] == "text/event-stream"
        assert reply.body.startswith(b'id: 3\nevent: call_started\ndata: {"id":3,')
        assert reply.body.endswith(b"}\n\n")
        assert reply.body.count(b"id: ") == 1


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 30])
async def test_a_number_that_is_none_is_refused(tmp_path: Path, after: str) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(BadRequestError):
            await api.operator.request("GET", f"/v1/events?after={after}")
        with pytest.raises(BadRequestError):
            await api.operator.request("GET", "/v1/events", headers={"Last-Event-ID": after})


async def test_a_follower_that_leaves_is_forgotten(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        api.world.events.publish()
        async with aclosing(api.operator.events(0, follow=True)) as events:
            await anext(events)
            assert api.world.events.followers
        await eventually(lambda: not api.world.events.followers)


async def test_logs_are_searched_in_the_daemon(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        await api.operator.open_session("main")
        lines = [line async for line in api.operator.logs("main", search="sec")]
        assert [line["text"] for line in lines] == ["second"]
        assert len([line async for line in api.operator.logs("main", after=1)]) == 1
