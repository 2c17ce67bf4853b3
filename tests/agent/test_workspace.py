"""DeepdWorkspace in agents' runs: whose session it is, what waits, and what a run leaves behind."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.workspaces import (
    WorkspaceOutputLimitError,
    WorkspaceReadOnlyError,
    WorkspaceRef,
    WorkspaceTimeoutError,
    WorkspaceUnavailableError,
)

from deepd.client.async_ import AsyncClient
from deepd.errors import DaemonDownError, NotFoundError
from deepd.integrations.pydantic_ai import (
    DeepdWorkspace,
    DeepdWorkspaceBackend,
    WorkspaceDeniedError,
)
from tests.agent.scripted import Call, Script, tool_answers
from tests.agent.waiting import until
from tests.e2e.conftest import User, somebody

pytestmark = pytest.mark.docker


async def run(ctx: RunContext[Any], command: str) -> str:
    """Run a command in the workspace."""
    done = await ctx.workspace.run(command, shell=True)
    return f"{done.exit_code}: {done.stdout}{done.stderr}"


def agent_in(daemon: User, *commands: str, **options: Any) -> Agent[Any, str]:
    """Return an agent that runs these commands in its workspace, one after the other."""
    script = Script([*(Call("run", {"command": command}) for command in commands), "done"])
    workspace = DeepdWorkspace(socket_path=socket(daemon), **options)
    return Agent(script.model(), tools=[run], capabilities=[workspace])


def socket(daemon: User, name: str = "agent") -> str:
    return f"{daemon.env['DEEPD_RUNTIME_DIR']}/{name}.sock"


@asynccontextmanager
async def operator_of(daemon: User) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(socket(daemon, "deepd")) as client:
        yield client


@pytest.fixture
async def backend(daemon: User) -> AsyncIterator[DeepdWorkspaceBackend]:
    one = DeepdWorkspaceBackend(session="tests", socket_path=socket(daemon), name="planner")
    yield one
    one.close()


async def test_a_conversation_goes_on_in_its_own_workspace(daemon: User) -> None:
    agent = agent_in(daemon, "pwd; echo mine > note", profile="open")
    first = await agent.run("go")
    assert tool_answers(first.all_messages()) == ["0: /workspace\n"]
    ref = first.workspace.ref
    assert ref is not None
    assert ref.id.startswith("agent-")

    again = agent_in(daemon, "true", "true", "cat note", profile="open")
    second = await again.run("go on", message_history=first.all_messages())
    assert second.workspace.ref == ref
    assert tool_answers(second.all_messages())[-1] == "0: mine\n"

    other = await agent_in(daemon, "cat note", profile="open").run("go")
    assert other.workspace.ref != ref
    assert tool_answers(other.all_messages())[0].startswith("1: cat: note")
    for result in (second, other):
        result.workspace.backend.close()  # type: ignore[attr-defined]


async def test_a_named_session_is_shared_by_runs(daemon: User) -> None:
    await agent_in(daemon, "echo shared > note", session="common").run("go")
    result = await agent_in(daemon, "cat note", session="common").run("go")
    assert tool_answers(result.all_messages()) == ["0: shared\n"]
    assert daemon.text("exec", "common", "--", "cat", "note") == "shared\n"


@pytest.mark.parametrize(
    "ref",
    [
        WorkspaceRef(provider="deepd", id="common@1.0"),
        WorkspaceRef(provider="local", id="/workspace"),
    ],
)
def test_a_ref_from_outside_leads_to_no_other_session(daemon: User, ref: WorkspaceRef) -> None:
    ctx: Any = None
    assert DeepdWorkspace(profile="open").get_workspace(ctx, ref=ref) is None
    assert DeepdWorkspace(session="mine").get_workspace(ctx, ref=ref) is None


async def test_a_session_of_another_profile_or_time_is_not_attached_to(daemon: User) -> None:
    made = DeepdWorkspaceBackend(profile="open", socket_path=socket(daemon))
    await made.working_dir()
    made.close()
    assert made.ref is not None
    older = WorkspaceRef(provider="deepd", id=made.session + "@1.5")
    for options in ({"ref": made.ref, "profile": "other"}, {"ref": older}):
        attached = DeepdWorkspaceBackend(socket_path=socket(daemon), **options)
        with pytest.raises(WorkspaceUnavailableError):
            await attached.working_dir()


async def test_a_removed_session_is_never_made_again(daemon: User) -> None:
    backend = DeepdWorkspaceBackend(session="short", socket_path=socket(daemon))
    await backend.write_bytes("/workspace/a", b"x")
    async with operator_of(daemon) as operator:
        await operator.close_session("short", purge=True)
        with pytest.raises(WorkspaceUnavailableError):
            await backend.read_bytes("/workspace/a")
        with pytest.raises(WorkspaceUnavailableError):
            await backend.run(["true"])
        assert "short" not in [session["name"] for session in await operator.sessions()]
    backend.close()


async def test_an_unknown_profile_and_a_missing_daemon_say_so(daemon: User, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing-of-this-name"):
        await DeepdWorkspaceBackend(
            profile="nothing-of-this-name", socket_path=socket(daemon)
        ).working_dir()
    lonely = DeepdWorkspaceBackend(socket_path=tmp_path / "agent.sock")
    for _ in range(2):
        with pytest.raises(DaemonDownError, match="no daemon answers"):
            await lonely.working_dir()


async def test_a_cancelled_run_takes_along_all_that_its_command_started(daemon: User) -> None:
    started = "setsid sh -c 'trap \"\" TERM; while :; do date > beat; sleep 0.05; done' & "
    agent = agent_in(daemon, started + "wait", session="cancelled")
    task = asyncio.create_task(agent.run("go"))
    beat = DeepdWorkspaceBackend(session="cancelled", socket_path=socket(daemon))
    await until(lambda: beat.exists("/workspace/beat"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with operator_of(daemon) as operator:
        (call,) = [each for each in await operator.calls("cancelled") if each["tool"] == "execute"]
        ended = await operator.call(call["id"], wait=10)
        assert (ended["state"], "cancelled" in ended["reason"]) == ("cancelled", True)
    left = await beat.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '[b]eat'", shell=True)
    assert left.stdout == "0\n"
    beat.close()


async def test_what_the_profile_holds_waits_and_what_is_denied_is_a_permission_error() -> None:
    with somebody() as user:
        text = (
            'image = "deepd-test/python:3.11"\n[interrupt_on]\nexecute = "ask"\n'
            'write_file = "deny"\n'
        )
        await asyncio.to_thread(user.run, "start", "-c", str(user.profile("strict", text)))
        backend = DeepdWorkspaceBackend(session="main", socket_path=socket(user), name="planner")
        for change in (
            backend.write_bytes("/workspace/a", b"x"),
            backend.make_dir("/workspace/d"),
            backend.remove("/workspace/a"),
        ):
            with pytest.raises(WorkspaceDeniedError) as caught:
                await change
            assert isinstance(caught.value, PermissionError)
        running = asyncio.create_task(backend.run(["echo", "approved"]))
        async with operator_of(user) as operator:
            held = await until(operator.approvals)
            assert (held[0]["client"], held[0]["args"]) == (
                "planner",
                {"argv": ["echo", "approved"]},
            )
            await operator.decide(held[0]["id"], approve=True, fingerprint=held[0]["fingerprint"])
        assert (await running).stdout == "approved\n"
        backend.close()


async def test_read_only_refuses_changes_before_they_are_calls(daemon: User) -> None:
    agent = agent_in(daemon, "touch a", session="tests", read_only=True)
    with pytest.raises(WorkspaceReadOnlyError):
        await agent.run("go")


async def test_output_that_was_not_kept_is_an_error_with_its_beginning(
    backend: DeepdWorkspaceBackend,
) -> None:
    with pytest.raises(WorkspaceOutputLimitError) as caught:
        await backend.run(["sh", "-c", "yes | head -c 3000000"])
    assert caught.value.stdout.startswith("y\ny\n")
    assert caught.value.limit >= 1 << 20


async def test_a_timeout_has_what_was_printed(backend: DeepdWorkspaceBackend) -> None:
    with pytest.raises(WorkspaceTimeoutError) as caught:
        await backend.run("echo out; echo err >&2; sleep 60", shell=True, timeout=0.5)
    assert (caught.value.stdout, caught.value.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), 1e9])
async def test_a_timeout_that_makes_no_sense_is_a_value_error(
    backend: DeepdWorkspaceBackend, timeout: float
) -> None:
    with pytest.raises(ValueError, match="timeout"):
        await backend.run(["true"], timeout=timeout)


async def test_paths_are_absolute_and_a_shut_folder_hides_no_link(
    backend: DeepdWorkspaceBackend,
) -> None:
    operations: list[Callable[[str], Any]] = [backend.read_bytes, backend.realpath, backend.remove]
    for operation in operations:
        with pytest.raises(ValueError, match="absolute"):
            await operation("relative")
    await backend.run("mkdir -p shut && chmod 0 shut", shell=True)
    with pytest.raises(PermissionError) as caught:
        await backend.realpath("/workspace/shut/link/x")
    assert caught.value.errno == errno.EACCES
    assert not await backend.exists("/workspace/nothing/x")
