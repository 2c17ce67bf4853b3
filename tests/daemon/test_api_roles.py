"""Two sockets, two roles: who may do what, and who may connect at all."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deepd.errors import (
    BadRequestError,
    FingerprintError,
    ForbiddenError,
    NotFoundError,
    OwnedError,
    SettingsError,
)
from deepd.model.approval import Approved, Denied
from deepd.model.ids import ProfileName, SessionName
from deepd.server.app import endpoints
from deepd.server.listen import bind
from tests.daemon.api import served
from tests.daemon.api_services import FINGERPRINT, World

OPERATORS_ONLY = {
    ("GET", "/v1/info"),
    ("GET", "/metrics"),
    ("GET", "/v1/audit"),
    ("POST", "/v1/stop"),
    ("GET", "/v1/sessions"),
    ("DELETE", "/v1/sessions/{session}"),
    ("POST", "/v1/sessions/{session}/start"),
    ("POST", "/v1/sessions/{session}/stop"),
    ("POST", "/v1/sessions/{session}/pause"),
    ("POST", "/v1/sessions/{session}/resume"),
    ("GET", "/v1/sessions/{session}/archive"),
    ("PUT", "/v1/sessions/{session}/archive"),
    ("GET", "/v1/approvals"),
    ("GET", "/v1/approvals/{approval}"),
    ("POST", "/v1/approvals/{approval}/decision"),
    ("GET", "/v1/approvals/{approval}/proposal"),
    ("GET", "/v1/grants"),
    ("DELETE", "/v1/grants"),
    ("DELETE", "/v1/grants/{grant}"),
    ("GET", "/v1/profiles"),
    ("GET", "/v1/profiles/{profile}"),
    ("POST", "/v1/reload"),
    ("GET", "/v1/plan"),
    ("POST", "/v1/policy/explain"),
    ("POST", "/v1/policy/backtest"),
    ("GET", "/v1/calls/{call}/body"),
}


def test_the_routes_that_only_operators_have_are_these(tmp_path: Path) -> None:
    table = endpoints(World(tmp_path).services)
    found = {(line.method, line.path) for line in table if line.operator_only}
    assert found == OPERATORS_ONLY


@pytest.mark.parametrize(("method", "path"), sorted(OPERATORS_ONLY))
async def test_an_agent_is_refused_and_nothing_happens(
    tmp_path: Path, method: str, path: str
) -> None:
    async with served(tmp_path) as api:
        api.world.sessions.open(SessionName("main"), ProfileName("python"))
        held = await api.agent.exec("main", "hold it", wait=False)
        where = path.format(
            session="main", approval=held.id, call=held.id, profile="python", grant="1" * 32
        )
        body = {"decision": "approve"} if where.endswith("/decision") else None
        with pytest.raises(ForbiddenError):
            await api.agent.request(
                method, where, json=body, headers={"If-Match": f'"{FINGERPRINT}"'}
            )
        world = api.world
        assert (world.reloads, world.stopped, world.approvals.decided) == (0, [], {})
        assert world.sessions.views[SessionName("main")].state == "ready"


async def test_an_agent_follows_a_sessions_events_and_not_all(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        api.world.events.publish("main")
        api.world.events.publish("other")
        with pytest.raises(ForbiddenError):
            await anext(api.agent.events())
        seen = [event async for event in api.agent.events(0, session="main")]
        assert [event["session"] for event in seen] == ["main"]


async def test_an_agent_lists_calls_of_a_session_it_names_and_finds_none_by_guessing(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as api:
        call = await api.agent.submit("main", "execute", {"command": "echo"})
        with pytest.raises(ForbiddenError):
            await api.agent.calls()
        assert len(await api.agent.calls("main")) == 1
        assert (await api.agent.call(call["id"]))["id"] == call["id"]
        with pytest.raises(NotFoundError):
            await api.agent.call(call["id"][:8])
        assert (await api.operator.call(call["id"][:8]))["id"] == call["id"]


async def test_a_decision_keeps_who_made_it(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        held = await api.agent.exec("main", "hold it", wait=False)
        await api.operator.decide(
            held.id, approve=True, fingerprint=FINGERPRINT, args={"command": "echo"}
        )
        ((decision, caller),) = api.world.approvals.decided.values()
        assert decision == Approved(args={"command": "echo"})
        assert (caller.role, caller.uid) == ("operator", os.geteuid())


async def test_a_denial_carries_reason_and_stop(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        held = await api.agent.exec("main", "hold it", wait=False)
        await api.operator.decide(
            held.id, approve=False, fingerprint=FINGERPRINT, reason="no", stop=True
        )
        ((decision, _),) = api.world.approvals.decided.values()
        assert decision == Denied(reason="no", stop=True)


async def test_a_decision_names_what_was_shown(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        held = await api.agent.exec("main", "hold it", wait=False)
        with pytest.raises(FingerprintError):
            await api.operator.decide(held.id, approve=True, fingerprint="0" * 64)
        with pytest.raises(BadRequestError, match="what was shown"):
            await api.operator.request(
                "POST", f"/v1/approvals/{held.id}/decision", json={"decision": "approve"}
            )
        assert not api.world.approvals.decided


@pytest.mark.parametrize(
    "body",
    [
        {"decision": "maybe"},
        {},
        {"decision": "deny", "args": {}},
        {"decision": "approve", "stop": True},
    ],
)
async def test_a_decision_that_says_two_things_is_refused(
    tmp_path: Path, body: dict[str, object]
) -> None:
    async with served(tmp_path) as api:
        held = await api.agent.exec("main", "hold it", wait=False)
        with pytest.raises(BadRequestError):
            await api.operator.request(
                "POST",
                f"/v1/approvals/{held.id}/decision",
                json=body,
                headers={"If-Match": FINGERPRINT},
            )
        assert not api.world.approvals.decided


async def test_both_sockets_are_private_from_their_first_moment(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        for path in (api.operator_socket, api.agent_socket):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not api.operator_socket.exists()
    assert not api.agent_socket.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_another_user_is_turned_away_even_if_the_socket_is_open() -> None:
    with tempfile.TemporaryDirectory(prefix="deepd-test-") as name:
        async with served(Path(name)) as api:
            Path(name).chmod(0o711)
            api.operator_socket.chmod(0o666)
            script = (
                "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX)\n"
                "s.connect(sys.argv[1]); print(s.recv(99)[:12].decode())"
            )
            asked = await _in_thread([sys.executable, "-c", script, str(api.operator_socket)])
    assert asked == "HTTP/1.1 403"


async def _in_thread(command: list[str]) -> str:
    result = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=20, check=True
    )
    return str(result.stdout).strip()


def test_a_socket_that_somebody_answers_at_is_left_alone(tmp_path: Path) -> None:
    first = bind(tmp_path / "a.sock")
    with pytest.raises(OwnedError):
        bind(tmp_path / "a.sock")
    assert (tmp_path / "a.sock").exists()
    first.close()
    assert not (tmp_path / "a.sock").exists()


def test_a_socket_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "a.sock"))
    dead.close()
    bind(tmp_path / "a.sock").close()


def test_a_closed_socket_leaves_the_name_of_its_successor(tmp_path: Path) -> None:
    first = bind(tmp_path / "a.sock")
    (tmp_path / "a.sock").unlink()
    second = bind(tmp_path / "a.sock")
    first.close()
    assert (tmp_path / "a.sock").exists()
    second.close()


def test_a_path_that_does_not_fit_says_so(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir(mode=0o700)
    with pytest.raises(SettingsError, match="107"):
        bind(folder / "deepd.sock")


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(SettingsError, match="private"):
        bind(folder / "a.sock")


def test_a_file_at_the_sockets_place_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "a.sock").write_text("precious")
    with pytest.raises(SettingsError):
        bind(tmp_path / "a.sock")
    assert (tmp_path / "a.sock").read_text() == "precious"
