"""`interrupt_on` of an agent: what it may be, what it holds, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, ToolApproved, ToolDenied
from pydantic_ai.toolsets import FunctionToolset

from deepd.errors import ArgumentsError
from deepd.integrations.pydantic_ai import DeepAgentDeps, create_deep_agent
from deepd.integrations.pydantic_ai.interrupt import read_interrupt_on
from tests.agent.folder import Shell
from tests.agent.scripted import Call, Script, tool_answers

if TYPE_CHECKING:
    from pydantic_ai import Agent

RUN = Call("execute", {"command": "make"})


def deploy(target: str) -> str:
    """Put it online."""
    return f"deployed to {target}"


def announce() -> str:
    """Tell everybody."""
    return "announced"


async def held_by(script: Script, shell: Shell, **options: Any) -> Any:
    """Run an agent to its end or to what holds it, and return the result."""
    agent = create_deep_agent(script.model(), **options)
    return await agent.run("go", deps=DeepAgentDeps(backend=shell))


@pytest.mark.parametrize(
    "interrupt_on",
    [
        True,
        ["execute"],
        ("ls", "execute"),
        {"execute": True},
        {"execute": "ask"},
        {"execute": {"default": "ask"}},
        {"exec*": True},
        {"execute": False, "*": "ask"},
    ],
)
async def test_every_form_that_names_a_tool_holds_its_calls(interrupt_on: Any) -> None:
    shell = Shell()
    result = await held_by(Script([RUN, "done"]), shell, interrupt_on=interrupt_on)
    assert isinstance(result.output, DeferredToolRequests)
    (call,) = result.deferred_tool_calls
    assert (call.tool_name, call.args) == ("execute", {"command": "make"})
    assert shell.commands == []


@pytest.mark.parametrize(
    "interrupt_on",
    [None, False, [], {}, {"execute": False}, {"execute": "allow"}, ["read_file"]],
)
async def test_what_is_not_named_runs(interrupt_on: Any) -> None:
    shell = Shell()
    result = await held_by(Script([RUN, "done"]), shell, interrupt_on=interrupt_on)
    assert (result.output, result.deferred_tool_calls) == ("done", [])
    assert shell.commands == ["make"]


async def test_arguments_that_came_as_json_are_shown_as_a_dict() -> None:
    script = Script([Call("execute", {"command": "make"}, as_json=True), "done"])
    result = await held_by(script, Shell(), interrupt_on={"execute": True})
    assert result.deferred_tool_calls[0].args["command"] == "make"


async def test_a_denied_tool_answers_with_a_refusal_and_never_runs() -> None:
    shell, script = Shell(), Script([RUN, "I could not"])
    result = await held_by(script, shell, interrupt_on={"execute": "deny"})
    assert result.output == "I could not"
    assert "Denied: execute: it may not be called here" in script.heard[0]
    assert shell.commands == []


async def test_rules_over_commands_decide_as_in_a_profile() -> None:
    rules = {
        "default": "ask",
        "allow": ("ls *",),
        "deny": [{"match": "re:curl .*", "reason": "no network"}],
    }
    shell = Shell()
    script = Script(
        [
            Call("execute", {"command": "ls -l"}),
            Call("execute", {"command": "curl http://x"}),
            Call("execute", {"command": "ls; rm -rf /"}),
        ]
    )
    result = await held_by(script, shell, interrupt_on={"execute": rules})
    assert shell.commands == ["ls -l"]
    assert "no network" in script.heard[1]
    assert [call.args["command"] for call in result.deferred_tool_calls] == ["ls; rm -rf /"]


async def test_rules_over_paths_deny_what_they_name_and_ask_for_what_they_could_mean() -> None:
    folder = Shell()
    rules = {"default": "allow", "deny": [{"path": "**/.env"}]}
    script = Script(
        [
            Call("write_file", {"path": "/workspace/.env", "content": "x"}),
            Call("write_file", {"path": "/workspace/link", "content": "x"}),
        ]
    )
    result = await held_by(script, folder, interrupt_on={"write_file": rules})
    assert script.heard[0].startswith("Denied")
    assert result.deferred_tool_calls[0].args["path"] == "/workspace/link"
    assert folder.files == {}


async def test_read_file_is_held_like_any_other_tool() -> None:
    result = await held_by(
        Script([Call("read_file", {"path": "/secret"})]), Shell(), interrupt_on={"read_file": True}
    )
    assert [call.tool_name for call in result.deferred_tool_calls] == ["read_file"]


async def test_tools_and_toolsets_of_ones_own_are_held_too() -> None:
    script = Script([[Call("deploy", {"target": "x"}), Call("announce", {})]])
    own: FunctionToolset[Any] = FunctionToolset([announce])
    result = await held_by(
        script, Shell(), tools=[deploy], toolsets=[own], interrupt_on=["deploy", "announce"]
    )
    assert {call.tool_name for call in result.deferred_tool_calls} == {"deploy", "announce"}


async def test_tools_that_are_added_later_are_held_by_a_glob() -> None:
    agent = create_deep_agent(Script([Call("deploy", {"target": "x"})]).model(), interrupt_on=True)
    agent.tool_plain(deploy)
    result: Any = await agent.run("go", deps=DeepAgentDeps(backend=Shell()))
    assert [call.tool_name for call in result.deferred_tool_calls] == ["deploy"]


def test_a_typo_is_refused_with_what_was_meant() -> None:
    with pytest.raises(ArgumentsError, match="no tool is called 'exeucte'; did you mean 'execute'"):
        create_deep_agent(interrupt_on={"exeucte": True})
    with pytest.raises(ArgumentsError, match="did you mean 'deploy'"):
        create_deep_agent(tools=[deploy], interrupt_on=["deplyo"])
    with pytest.raises(ArgumentsError, match="no tool is called 'execute'"):
        create_deep_agent(include_execute=False, interrupt_on=["execute"])


async def test_a_typo_beside_tools_that_only_a_run_knows_is_refused_by_the_run() -> None:
    def later(ctx: Any) -> FunctionToolset[Any]:
        return FunctionToolset([deploy])

    script = Script([Call("deploy", {"target": "x"}), "done"])
    agent = create_deep_agent(script.model(), toolsets=[later], interrupt_on=["deplyo"])
    with pytest.raises(ArgumentsError, match="did you mean 'deploy'"):
        await agent.run("go", deps=DeepAgentDeps(backend=Shell()))
    assert script.asked == 0

    agent = create_deep_agent(script.model(), toolsets=[later], interrupt_on=["deploy"])
    result: Any = await agent.run("go", deps=DeepAgentDeps(backend=Shell()))
    assert [call.tool_name for call in result.deferred_tool_calls] == ["deploy"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("execute", "write \\['execute'\\]|single text"),
        (7, "int is none of its forms"),
        ({"execute": "asks"}, 'did you mean "ask"'),
        ({"execute": 1}, "int is no answer"),
        ({"execute": {"alow": ["ls *"]}}, "did you mean|unknown key"),
        ({"execute": {"allow": ["ls * x"]}}, "execute"),
        ({"deploy": {"allow": ["ls *"]}}, "patterns are over `execute` only"),
        ({"execute": {"default": "maybe"}}, "must be"),
        ([""], "is not a tool's name"),
        ({3: True}, "3 is not a tool's name"),
    ],
)
def test_what_makes_no_sense_is_refused(value: Any, said: str) -> None:
    with pytest.raises(ArgumentsError, match=said):
        read_interrupt_on(value)


async def resume(agent: Agent[Any, Any], result: Any, shell: Shell, answer: Any) -> Any:
    """Answer the one held call and run on."""
    (call,) = result.deferred_tool_calls
    return await agent.run(
        message_history=result.all_messages(),
        deferred_tool_results=DeferredToolResults(approvals={call.tool_call_id: answer}),
        deps=DeepAgentDeps(backend=shell),
    )


async def test_a_held_agent_goes_on_for_several_rounds() -> None:
    shell = Shell()
    script = Script(
        [
            Call("execute", {"command": "one"}),
            Call("execute", {"command": "two"}, as_json=True),
            Call("execute", {"command": "three"}),
            "all done",
        ]
    )
    agent = create_deep_agent(script.model(), interrupt_on={"execute": True})
    result: Any = await agent.run("go", deps=DeepAgentDeps(backend=shell))
    result = await resume(agent, result, shell, True)  # noqa: FBT003 - the answer
    assert shell.commands == ["one"]
    result = await resume(
        agent, result, shell, ToolApproved(override_args={"command": "two, but safe"})
    )
    assert shell.commands == ["one", "two, but safe"]
    result = await resume(agent, result, shell, ToolDenied("not on a Friday"))
    assert shell.commands == ["one", "two, but safe"]
    assert (result.output, result.deferred_tool_calls) == ("all done", [])
    assert tool_answers(result.all_messages())[-1] == "not on a Friday"


async def test_override_args_that_do_not_fit_the_tool_do_not_run() -> None:
    shell = Shell()
    script = Script([RUN, "given up"])
    agent = create_deep_agent(script.model(), interrupt_on=True)
    result: Any = await agent.run("go", deps=DeepAgentDeps(backend=shell))
    result = await resume(agent, result, shell, ToolApproved(override_args={"command": ["a"]}))
    assert (result.output, shell.commands) == ("given up", [])


@pytest.fixture
def own_loop() -> Iterator[None]:
    """An event loop for `run_sync`, which leaves the one that it makes open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.usefixtures("own_loop")
def test_run_sync_has_the_held_calls_too() -> None:
    agent = create_deep_agent(Script([RUN]).model(), interrupt_on=True)
    result: Any = agent.run_sync("go", deps=DeepAgentDeps(backend=Shell()))
    assert hasattr(result, "deferred_tool_calls")
    assert len(result.deferred_tool_calls) == 1
    assert result.usage.requests == 1


async def test_iter_ends_with_the_held_calls() -> None:
    agent = create_deep_agent(Script([RUN]).model(), interrupt_on=True)
    async with agent.iter("go", deps=DeepAgentDeps(backend=Shell())) as run:
        async for _ in run:
            pass
    result: Any = run.result
    assert len(result.deferred_tool_calls) == 1
    assert result.all_messages() == run.all_messages()
