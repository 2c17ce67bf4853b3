"""A caller that means one very session reaches no other of its name, and makes none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deepd.client.async_ import AsyncClient
from deepd.errors import BadRequestError, GoneError
from deepd.model.ids import SessionName
from tests.daemon.api import served

MAIN = SessionName("main")


async def test_calls_go_on_while_the_session_is_there(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        client = AsyncClient(api.agent_socket, session=await api.agent.open_session("main"))
        assert await client.ls("main")
        client.close()


async def test_a_removed_session_is_gone_and_stays_so(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        client = AsyncClient(api.agent_socket, session=await api.agent.open_session("main"))
        await api.operator.close_session("main")
        with pytest.raises(GoneError, match="was removed"):
            await client.write("main", "a", b"x")
        assert api.world.sessions.views == {}
        await api.agent.open_session("main")
        views = api.world.sessions.views
        views[MAIN] = replace(views[MAIN], created_at=views[MAIN].created_at + 1)
        with pytest.raises(GoneError):
            await client.exec("main", "true")
        client.close()


async def test_a_session_that_is_being_removed_takes_no_more_calls(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        client = AsyncClient(api.agent_socket, session=await api.agent.open_session("main"))
        views = api.world.sessions.views
        views[MAIN] = replace(views[MAIN], state="closing")
        with pytest.raises(GoneError):
            await client.stat("main", "a")
        client.close()


@pytest.mark.parametrize("made", ["yesterday", "", "nan", "inf", "-1", "1_0", "1e400", "{}"])
async def test_a_time_that_is_none_is_refused(tmp_path: Path, made: str) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(BadRequestError, match="not a time"):
            await api.agent.request(
                "GET", "/v1/sessions/main/ls", headers={"X-Deepd-Session-Made": made}
            )
