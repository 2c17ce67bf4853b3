"""DeepdApprovals: an agent's own tools wait in the daemon's inbox for a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.tools import DeferredToolRequests, Tool

from deepd.client.async_ import AsyncClient
from deepd.errors import DaemonDownError
from deepd.integrations.pydantic_ai import DeepdApprovals
from tests.agent.scripted import Call, Script, tool_answers
from tests.agent.waiting import until
from tests.e2e.conftest import User, somebody
from tests.eventually import eventually

pytestmark = pytest.mark.docker


class Deployer:
    """An agent with tools that need approval, and what they did."""

    def __init__(self, user: User, *turns: Any, session: str = "main") -> None:
        self.done: list[str] = []
        runtime = user.env["DEEPD_RUNTIME_DIR"]
        self.operator = AsyncClient(f"{runtime}/deepd.sock", name="alice")
        self.script = Script([*turns, "finished"])
        self.agent: Agent[None, Any] = Agent(
            self.script.model(),
            tools=[
                Tool(self.deploy, requires_approval=True),
                Tool(self.execute, requires_approval=True),
            ],
            output_type=[str, DeferredToolRequests],
            capabilities=[
                DeepdApprovals(
                    session=session, name="deployer", socket_path=f"{runtime}/agent.sock"
                )
            ],
        )

    def deploy(self, target: str, copies: int = 1) -> str:
        """Put it online."""
        self.done.append(f"{target} x{copies}")
        return f"deployed to {target}"

    def execute(self, command: str) -> str:
        """Run something here, not in deepd's sandbox."""
        self.done.append(command)
        return "ran here"

    async def held(self, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many calls are held, and return them."""

        async def ask() -> list[dict[str, Any]]:
            found = await self.operator.approvals()
            return found if len(found) == count else []

        return await until(ask)

    async def approve(self, approval: dict[str, Any], args: dict[str, Any] | None = None) -> None:
        """Decide as a person does."""
        await self.operator.decide(
            approval["id"], approve=True, fingerprint=approval["fingerprint"], args=args
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[Any]]:
        """Run the agent beside the block; it must be over when the block is."""
        task: asyncio.Task[Any] = asyncio.create_task(self.agent.run("go"))
        try:
            yield task
            await asyncio.wait_for(task, 30)
        finally:
            task.cancel()
            self.operator.close()


DEPLOY = Call("deploy", {"target": "staging"})


async def test_a_call_waits_for_deepd_approve_and_then_runs_here(daemon: User) -> None:
    deployer = Deployer(daemon, DEPLOY)
    async with deployer.running() as task:
        (approval,) = await deployer.held()
        assert (approval["tool"], approval["args"]) == ("deploy", {"target": "staging"})
        assert approval["client"] == "deployer"
        assert deployer.done == []
        await asyncio.to_thread(daemon.run, "approve", approval["id"][:12])
    assert deployer.done == ["staging x1"]
    assert task.result().output == "finished"
    assert tool_answers(task.result().all_messages()) == ["deployed to staging"]


async def test_a_denial_is_told_to_the_model_with_its_reason(daemon: User) -> None:
    deployer = Deployer(daemon, DEPLOY)
    async with deployer.running():
        (approval,) = await deployer.held()
        await asyncio.to_thread(daemon.run, "deny", approval["id"], "-m", "not on a Friday")
    assert deployer.done == []
    assert "not on a Friday" in deployer.script.heard[0]


async def test_edited_arguments_run_in_place_of_the_others(daemon: User) -> None:
    deployer = Deployer(daemon, DEPLOY)
    async with deployer.running():
        (approval,) = await deployer.held()
        await deployer.approve(approval, {"target": "test", "copies": 2})
    assert deployer.done == ["test x2"]


async def test_edited_arguments_that_do_not_fit_are_no_decision(daemon: User) -> None:
    deployer = Deployer(daemon, DEPLOY)
    async with deployer.running():
        (first,) = await deployer.held()
        await deployer.approve(first, {"target": "test", "copies": "many"})
        (again,) = await deployer.held()
        assert again["id"] != first["id"]
        assert deployer.done == []
        assert again["args"]["copies"] == "many"
        assert "copies: Input should be a valid integer" in again["args"]["invalid_edit"]
        await deployer.approve(again, {**again["args"], "copies": 3})
    assert deployer.done == ["test x3"]


async def test_several_calls_wait_side_by_side(daemon: User) -> None:
    deployer = Deployer(
        daemon, [Call("deploy", {"target": "one"}), Call("deploy", {"target": "two"})]
    )
    async with deployer.running():
        first, second = sorted(await deployer.held(2), key=lambda each: each["args"]["target"])
        await deployer.approve(second)
        await deployer.operator.decide(
            first["id"], approve=False, fingerprint=first["fingerprint"], reason="no"
        )
    assert deployer.done == ["two x1"]


async def test_a_tool_of_deepds_own_name_never_runs_in_the_sandbox(daemon: User) -> None:
    deployer = Deployer(daemon, Call("execute", {"command": "touch /workspace/trace"}))
    async with deployer.running():
        (approval,) = await deployer.held()
        assert approval["tool"] == "agent:execute"
        await deployer.approve(approval)
    assert deployer.done == ["touch /workspace/trace"]
    assert "trace" not in daemon.text("exec", "main", "--", "ls", "/workspace")


async def test_a_cancelled_run_takes_its_call_back(daemon: User) -> None:
    deployer = Deployer(daemon, DEPLOY)
    task = asyncio.create_task(deployer.agent.run("go"))
    (approval,) = await deployer.held()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await deployer.operator.approval(approval["id"]))["state"] == "cancelled"
    assert deployer.done == []
    deployer.operator.close()


async def test_the_profile_decides_before_a_person_does() -> None:
    def start() -> User:
        text = 'image = "deepd-test/python:3.11"\n[interrupt_on]\n"dep*" = "deny"\n'
        user.run("start", "-c", str(user.profile("strict", text)))
        return user

    with somebody() as user:
        deployer = Deployer(await asyncio.to_thread(start), DEPLOY)
        async with deployer.running():
            pass
        assert deployer.done == []
        assert "denied" in deployer.script.heard[0]


async def test_every_round_of_a_run_outlives_the_daemon_and_runs_what_was_decided_once() -> None:
    with somebody() as user:
        path = user.profile("open", 'image = "deepd-test/python:3.11"\nsessions = []\n')
        await asyncio.to_thread(user.run, "start", "-c", str(path))
        targets = ("approved", "denied", "edited")
        deployer = Deployer(user, *(Call("deploy", {"target": target}) for target in targets))
        operator = deployer.operator
        async with deployer.running() as task:
            for target in targets:
                (held,) = await deployer.held()
                await asyncio.to_thread(user.kill_daemon)
                operator.close()
                await asyncio.to_thread(user.run, "start", "-c", str(path))
                (after,) = await deployer.held()
                assert (after["id"], after["args"]) == (held["id"], {"target": target})
                match target:
                    case "approved":
                        await deployer.approve(after)
                    case "denied":
                        await operator.decide(
                            after["id"], approve=False, fingerprint=after["fingerprint"]
                        )
                    case _:
                        await deployer.approve(after, {"target": "test", "copies": 2})
            await asyncio.wait_for(task, 30)
        assert deployer.done == ["approved x1", "test x2"]
        assert "denied" in deployer.script.heard[1]


async def test_a_question_that_comes_while_the_daemon_is_away_waits_for_it() -> None:
    with somebody() as user:
        path = user.profile("open", 'image = "deepd-test/python:3.11"\nsessions = []\n')
        await asyncio.to_thread(user.run, "start", "-c", str(path))

        def go_away(heard: list[str]) -> Call:
            user.kill_daemon()
            deployer.operator.close()
            return Call("deploy", {"target": "second"})

        deployer = Deployer(user, Call("deploy", {"target": "first"}), go_away)
        async with deployer.running() as task:
            (first,) = await deployer.held()
            await deployer.approve(first)
            await eventually(lambda: deployer.script.asked == 2)
            assert not task.done()
            await asyncio.to_thread(user.run, "start", "-c", str(path))
            (second,) = await deployer.held()
            await deployer.approve(second)
        assert deployer.done == ["first x1", "second x1"]


async def test_without_a_daemon_the_run_ends_with_what_to_do(tmp_path: Path) -> None:
    def deploy(target: str) -> str:
        return target

    agent: Agent[None, Any] = Agent(
        Script([DEPLOY]).model(),
        tools=[Tool(deploy, requires_approval=True)],
        output_type=[str, DeferredToolRequests],
        capabilities=[DeepdApprovals(socket_path=tmp_path / "agent.sock")],
    )
    with pytest.raises(DaemonDownError, match="no daemon answers"):
        await agent.run("go")
