"""Sessions, profiles and the daemon as a whole over the API."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from deepd.errors import BadRequestError, NotFoundError
from tests.daemon.api import served


async def test_a_session_lives_through_all_its_verbs(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        client = api.operator
        assert (await client.open_session("main", "python"))["profile"] == "python"
        assert (await client.open_session("main"))["name"] == "main"
        assert (await client.stop("main"))["state"] == "stopped"
        assert (await client.start("main"))["state"] == "ready"
        assert (await client.pause("main"))["state"] == "paused"
        assert (await client.resume("main"))["state"] == "ready"
        assert (await client.stats("main"))["pids"] == 3
        assert [view["name"] for view in await client.sessions()] == ["main"]
        await client.close_session("main", purge=True)
        assert api.world.sessions.closed == [("main", True)]
        with pytest.raises(NotFoundError) as caught:
            await client.session("main")
        assert caught.value.next_step == "see `deepd ps`"


async def test_the_synchronous_client_does_the_same(tmp_path: Path) -> None:
    async with served(tmp_path) as api:

        def use() -> None:
            with api.sync as client:
                client.open_session("main")
                assert client.stop("main")["state"] == "stopped"
                assert client.start("main")["state"] == "ready"
                assert client.session("main")["state"] == "ready"
                client.close_session("main")
                assert client.sessions() == []
                assert client.read("main", "f", offset=1, size=2) == b"\x01\x02"
                assert b"".join(client.download("main", "f"))[:3] == b"\x00\x01\x02"
                assert client.ls("main", "src") == [{"path": "src"}]
                assert b"".join(client.get_archive("main", "src")) == b"tar of src"
                lines = list(client.exec_stream("main", "echo hi"))
                assert [line["kind"] for line in lines] == ["call", "output", "end"]
                assert [line["kind"] for line in client.output(lines[0]["call"]["id"])] == [
                    "output"
                ]

        await asyncio.to_thread(use)


async def test_a_name_is_needed_and_fits(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        for body in ({}, {"name": "../x"}, {"name": "a", "profile": "B"}, {"name": 1}):
            with pytest.raises(BadRequestError):
                await api.operator.request("POST", "/v1/sessions", json=body)
        assert not api.world.sessions.views


async def test_purge_says_yes_or_no(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        await api.operator.open_session("main")
        with pytest.raises(BadRequestError):
            await api.operator.request("DELETE", "/v1/sessions/main?purge=maybe")
        assert api.world.sessions.views


async def test_health_names_the_engine_and_degrades_with_it(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        assert (await api.agent.health())["status"] == "ok"
        api.world.engine["state"] = "down"
        health = await api.agent.health()
        assert (health["status"], health["engine"]["endpoint"]) == ("degraded", "unix:///x.sock")


async def test_profiles_show_their_state_and_what_they_say(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        (state,) = await api.operator.profiles()
        assert (state["name"], state["state"]) == ("python", "ready")
        assert (await api.operator.profile("python"))["profile"]["image"] == "python:3.12-slim"
        with pytest.raises(NotFoundError):
            await api.operator.profile("none")
        assert await api.operator.reload() == [state]
        assert api.world.reloads == 1
        assert (await api.operator.plan())[0]["cause"] == "no sandbox"


async def test_the_end_is_asked_for_once_and_keeps_or_not(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        await api.operator.stop_daemon(keep=True)
        await api.operator.stop_daemon()
        assert api.world.stopped == [True, False]


async def test_metrics_are_prometheus_text(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        await api.operator.open_session("main")
        await api.operator.exec("main", "hold it", wait=False)
        text = await api.operator.metrics()
        assert 'deepd_sessions{state="ready"} 1\n' in text
        assert 'deepd_open_calls{state="held"} 1\n' in text
        assert "deepd_approvals_pending 1\n" in text
        assert "deepd_engine_up 1\n" in text
        for line in text.splitlines():
            assert re.fullmatch(r'# .*|[a-z_]+(\{state="[a-z ]+"\})? [0-9.e+]+', line), line


async def test_the_schema_describes_every_route(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        document = (await api.agent.request("GET", "/v1/openapi.json")).json()
        paths = document["paths"]
        assert "requestBody" in paths["/v1/sessions/{session}/exec"]["post"]
        assert paths["/v1/reload"]["post"]["x-operator-only"] is True
        named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
        assert named <= set(document["components"]["schemas"])


async def test_info_has_all_that_status_shows(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        info = await api.operator.info()
        assert info["version"]
        assert info["engine"]["name"] == "docker"
        assert info["profiles"][0]["name"] == "python"


async def test_the_audit_is_empty_where_none_is_kept(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        assert (await api.operator.request("GET", "/v1/audit")).json() == {"rows": []}


async def test_threads_share_one_synchronous_client(tmp_path: Path) -> None:
    async with served(tmp_path) as api:

        def ask(number: int) -> list[bytes]:
            return [api.sync.exec("main", f"echo {number}-{at}").output for at in range(25)]

        answers = await asyncio.gather(*(asyncio.to_thread(ask, number) for number in range(6)))
        for number, outputs in enumerate(answers):
            assert outputs == [f"{number}-{at}".encode() for at in range(25)]
