"""Calls over the API: results, streams, holds, and coming back later."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deepd.errors import (
    ArgumentsError,
    BadRequestError,
    CallLostError,
    CallTimeoutError,
    ConflictError,
    DeepdError,
    DeniedError,
    NotFoundError,
)
from deepd.model.call import CallState
from deepd.server.limits import Limits
from tests.daemon.api import served
from tests.eventually import eventually


async def test_exec_gives_both_streams_apart_and_in_order(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        reply = await api.operator.exec("main", "both")
        assert (reply.stdout, reply.stderr) == (b"out\n\xff\n", b"err\n")
        assert reply.output == b"out\nerr\n\xff\n"
        assert (reply.exit_code, reply.state) == (3, "finished")


async def test_the_synchronous_client_gets_the_same(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        reply = await asyncio.to_thread(api.sync.exec, "main", ["echo", "hi"], timeout=5)
        assert reply.state == "finished"
        assert api.world.calls.get(reply.id).args == {"argv": ["echo", "hi"]}


async def test_the_caller_is_known_by_its_kernel_identity_and_its_own_name(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        await api.agent.exec("main", "echo")
        (caller,) = api.world.calls.callers
        assert (caller.role, caller.client) == ("agent", "planner-7")
        assert caller.uid >= 0
        assert caller.pid > 0


async def test_exec_streams_the_output_as_it_comes(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        lines = api.operator.exec_stream("main", "wait")
        first = await anext(lines)
        call_id = first["call"]["id"]
        api.world.calls.print(call_id, b"one")
        second = await anext(lines)
        api.world.calls.print(call_id, b"\xfe", stream=2)
        third = await anext(lines)
        api.world.calls.end(call_id, exit_code=0)
        rest = [line async for line in lines]
        assert (second["kind"], second["data"], second["offset"]) == ("output", b"one", 0)
        assert (third["stream"], third["data"]) == (2, b"\xfe")
        assert [line["kind"] for line in rest] == ["end"]
        assert rest[0]["call"]["exit_code"] == 0


async def test_output_lines_are_packed_unless_raw_bytes_are_asked_for(tmp_path: Path) -> None:
    body = b'{"command": "both"}'
    head = b"POST /v1/sessions/main/exec HTTP/1.1\r\nConnection: close\r\n"
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    async with served(tmp_path) as api:
        plain = await api.raw(head + b"Accept: application/x-ndjson\r\n\r\n" + body)
        raw = await api.raw(head + b"Accept: application/x-ndjson; bytes=raw\r\n\r\n" + body)
    assert b"content-type: application/x-ndjson\r\n" in plain
    assert b'"stream":1,"text":"out\\n"}\n' in plain
    assert b"content-type: application/x-ndjson; bytes=raw\r\n" in raw
    assert b'"stream":1,"size":4}\nout\n' in raw
    assert b'"size":2}\n\xff\n' in raw


async def test_a_held_stream_says_now_and_then_that_it_is_held(tmp_path: Path) -> None:
    async with served(tmp_path, Limits(held_line=0.05)) as api:
        kinds = []
        async for line in api.operator.exec_stream("main", "hold git push"):
            kinds.append(line["kind"])
            if kinds.count("held") == 3 and line["kind"] == "held":
                api.world.calls.end(line["call"], CallState.DENIED, reason="no")
        assert kinds[:4] == ["call", "held", "held", "held"]
        assert kinds[-1] == "end"


async def test_a_held_call_answers_when_a_person_has_decided(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        asked = asyncio.create_task(api.agent.exec("main", "hold git push"))
        await eventually(api.world.approvals.list)
        (approval,) = await api.operator.approvals()
        assert not asked.done()
        await api.operator.decide(approval["id"], approve=True, fingerprint=approval["fingerprint"])
        assert (await asked).output == b"approved"


async def test_a_denied_exec_is_an_error_with_reason_and_rule(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(DeniedError, match=r"never push \(strict\.toml:3:1\)"):
            await api.operator.exec("main", "deny never push")


async def test_a_denied_call_in_the_general_form_is_an_answer(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        call = await api.operator.submit("main", "execute", {"command": "deny no"})
        assert (call["state"], call["reason"]) == ("denied", "no")


async def test_a_timeout_brings_what_was_printed_before(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(CallTimeoutError) as caught:
            await api.operator.exec("main", "slow")
        assert caught.value.output == b"so far"


async def test_a_lost_call_says_that_its_effect_is_not_known(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(CallLostError) as caught:
            await api.operator.exec("main", "lost")
        assert "not known" in caught.value.next_step


async def test_respond_async_answers_at_once_and_says_where(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        reply = await api.operator.request(
            "POST",
            "/v1/sessions/main/exec",
            json={"command": "hold it"},
            headers={"Prefer": "respond-async"},
        )
        assert reply.status == 202
        call = reply.json()["call"]
        assert reply.headers["location"] == f"/v1/calls/{call['id']}"
        assert (await api.operator.call(call["id"]))["state"] == "held"


async def test_a_background_call_is_followed_by_its_id(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        begun = await api.operator.exec("main", "wait", background=True)
        assert begun.state == "running"
        follow = api.operator.output(begun.id, follow=True)
        api.world.calls.print(begun.call["id"], b"12345")
        assert (await anext(follow))["data"] == b"12345"
        await api.operator.cancel(begun.id, "enough")
        (end,) = [line async for line in follow]
        assert end["call"]["reason"] == "enough"
        with pytest.raises(ConflictError, match="cancelled"):
            await api.operator.exec("main", "wait", key=begun.call["idempotency_key"])


async def test_waiting_for_a_call_ends_with_the_callers_patience(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        begun = await api.operator.exec("main", "wait", background=True)
        assert (await api.operator.call(begun.id, wait=0.05))["state"] == "running"
        asked = asyncio.create_task(api.operator.call(begun.id, wait=20))
        await asyncio.sleep(0)
        api.world.calls.end(begun.call["id"], exit_code=0)
        assert (await asked)["state"] == "finished"


async def test_a_repeated_key_is_the_same_call(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        first = await api.operator.exec("main", "echo a", key="k1")
        second = await api.operator.exec("main", "echo a", key="k1")
        assert first.id == second.id
        assert len(api.world.calls.calls) == 1


async def test_a_caller_that_goes_away_leaves_the_call_standing(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        asked = asyncio.create_task(api.operator.exec("main", "hold it"))
        await eventually(lambda: api.world.calls.calls)
        tasks = len(asyncio.all_tasks())
        asked.cancel()
        # The daemon's own task for the request goes too: nothing waits for nobody.
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks - 2)
        (call,) = api.world.calls.calls.values()
        assert call.state is CallState.HELD


async def test_a_caller_that_left_before_its_call_was_stored_is_not_waited_for(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as api:
        before = len(asyncio.all_tasks())
        api.world.calls.gate.clear()
        asked = asyncio.create_task(api.operator.exec("main", "hold it"))
        await eventually(lambda: api.world.calls.callers)
        asked.cancel()
        await eventually(lambda: len(asyncio.all_tasks()) <= before + 1)
        api.world.calls.gate.set()
        await eventually(lambda: api.world.calls.calls)
        await eventually(lambda: len(asyncio.all_tasks()) <= before)


async def test_stdin_goes_to_the_call_and_its_end_ends_it(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        begun = await api.operator.exec("main", "wait", background=True, pty=(24, 80))
        await api.operator.stdin(begun.id, b"\x00raw")
        await api.operator.resize(begun.id, 30, 100)
        await api.operator.stdin(begun.id, b"", eof=True)
        ended = await api.operator.call(begun.id, wait=5)
        assert ended["exit_code"] == 7
        assert api.world.calls.stdin_of[begun.call["id"]] == b"\x00raw"
        assert api.world.calls.sizes == [(30, 100)]
        with pytest.raises(ConflictError):
            await api.operator.stdin(begun.id, b"late")


async def test_calls_are_listed_newest_first_and_by_session(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        await api.operator.exec("one", "echo 1")
        await api.operator.exec("two", "wait", background=True)
        assert [call["session"] for call in await api.operator.calls()] == ["two", "one"]
        assert len(await api.operator.calls("one")) == 1
        assert [call["session"] for call in await api.operator.calls(open_only=True)] == ["two"]
        assert len(await api.operator.calls(limit=1)) == 1


async def test_a_bug_shows_a_ticket_and_no_stack(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(DeepdError) as caught:
            await api.operator.exec("main", "bug")
        assert "made a mistake" in caught.value.detail
        assert "secret" not in caught.value.detail + caught.value.next_step


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"command": "a", "argv": ["a"]},
        {"command": 3},
        {"command": ""},
        {"argv": []},
        {"command": "a", "timeout": "5"},
        {"command": "a", "timeout": -1},
        {"command": "a", "timeuot": 5},
        {"command": "a", "env": {"A": 1}},
        {"command": "a", "pty": {"rows": 0}},
        {"command": "a", "background": 1},
        ["command"],
    ],
)
async def test_a_body_that_does_not_fit_is_refused_with_its_place(
    tmp_path: Path, body: object
) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(ArgumentsError):
            await api.operator.request("POST", "/v1/sessions/main/exec", json=body)
        assert not api.world.calls.calls


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b"[" * 100_000, b'{"timeout": NaN}', b"9" * 5000],
    ids=["half", "no UTF-8", "deep", "NaN", "huge number"],
)
async def test_a_body_that_is_no_json_is_a_bad_request(tmp_path: Path, body: bytes) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(BadRequestError) as caught:
            await api.operator.request("POST", "/v1/sessions/main/exec", body=body)
        assert caught.value.code in {"bad-request", "bad-arguments"}


@pytest.mark.parametrize("name", ["..", "UPPER", "a/b", "a b", "", "x" * 64, "-a"])
async def test_a_session_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    async with served(tmp_path) as api:
        with pytest.raises((BadRequestError, NotFoundError)):
            await api.operator.exec(name, "echo")
        assert not api.world.calls.calls


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(NotFoundError, match="/v1/nothing"):
            await api.operator.request("GET", "/v1/nothing")
        with pytest.raises(BadRequestError, match="does not take PATCH"):
            await api.operator.request("PATCH", "/v1/sessions")
