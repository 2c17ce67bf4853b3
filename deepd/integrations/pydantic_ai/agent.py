"""create_deep_agent(): a pydantic-ai agent with the console tools and a gate before them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic_ai import Agent
from pydantic_ai.models import Model
from pydantic_ai.tools import DeferredToolRequests, Tool
from pydantic_ai.toolsets import AbstractToolset, CombinedToolset, FunctionToolset

from deepd.integrations.pydantic_ai.backend import DeepAgentDeps
from deepd.integrations.pydantic_ai.console import create_console_toolset
from deepd.integrations.pydantic_ai.gate import InterruptGate, check_names
from deepd.integrations.pydantic_ai.interrupt import InterruptOn, read_interrupt_on
from deepd.integrations.pydantic_ai.models import DEFAULT_MODEL, replaceable

if TYPE_CHECKING:
    from deepd.integrations.pydantic_ai.result import DeepAgentRunResult

INSTRUCTIONS = """\
You work in a sandbox with files and a shell, by the tools ls, read_file, write_file, edit_file, \
glob, grep and, where it is offered, execute. Relative paths begin at the working folder. \
Some calls wait for a person; one that was denied was not run: do something else, or ask."""


class DeepAgent(Agent[Any, Any]):
    """A pydantic-ai agent, the results of which also list the calls that are held."""

    if TYPE_CHECKING:
        # Only their results are other than `Agent`'s; see there for what they take.
        async def run(self, *args: Any, **options: Any) -> DeepAgentRunResult: ...

        def run_sync(self, *args: Any, **options: Any) -> DeepAgentRunResult: ...


def create_deep_agent(  # noqa: PLR0913 - each is a way to say what the agent shall be
    model: Model[Any] | str | None = None,
    instructions: Any = None,
    *,
    tools: Sequence[Tool[Any] | Callable[..., Any]] = (),
    toolsets: Sequence[Any] | None = None,
    backend: Any = None,
    include_execute: bool | None = None,
    interrupt_on: InterruptOn | None = None,
    output_type: Any = str,
    **agent_kwargs: Any,
) -> DeepAgent:
    """Return a pydantic-ai agent that works in a sandbox, and asks before the calls you name.

    Args:
        model: As pydantic-ai takes it: a name such as `openai:gpt-4.1` (the default) or a model.
        instructions: Yours, as pydantic-ai takes them; a few lines about the tools go before.
        tools: Your own tools, as `Agent(tools=...)` takes them.
        toolsets: Your own toolsets, as `Agent(toolsets=...)` takes them.
        backend: What the tools work on in a run whose `deps` has no backend.
        include_execute: `None` offers `execute` where the run's backend has it, `True` always,
            `False` never.
        interrupt_on: The calls that are held for a person: `True` for all, a list of tools, or
            a mapping of tools to `True`, `False`, "allow", "ask" or "deny". It holds for the
            console tools and for yours; names may be globs.
        output_type: As pydantic-ai takes it. `DeferredToolRequests` is added to it.
        agent_kwargs: Everything else that `Agent` takes.

    A run that comes to a held call ends with `DeferredToolRequests` as its output, and
    `result.deferred_tool_calls` lists what is held. Run the agent again with
    `message_history=result.all_messages()` and `deferred_tool_results=DeferredToolResults(...)`
    to go on; `ToolApproved(override_args=...)` runs other arguments than those that were asked.

    Raises `ArgumentsError` for an `interrupt_on` that names no tool: a typo must not open a gate.
    """
    console = create_console_toolset(backend=backend, include_execute=include_execute)
    own = list(toolsets or ())
    capabilities = list(agent_kwargs.pop("capabilities", None) or ())
    interrupts = read_interrupt_on(interrupt_on)
    known = {*console.tools, *_tool_names(tools), *_toolset_names(own)}
    unseen = interrupts.unknown(known)
    if not capabilities and all(_is_listed(toolset) for toolset in own):
        check_names(unseen, known)
    return DeepAgent(
        model or DEFAULT_MODEL,
        instructions=[INSTRUCTIONS, *_as_list(instructions)],
        tools=tools,
        toolsets=[console, *own],
        output_type=_with_deferred(output_type),
        deps_type=agent_kwargs.pop("deps_type", DeepAgentDeps),
        capabilities=[*capabilities, replaceable(), InterruptGate(interrupts, tuple(unseen))],
        **agent_kwargs,
    )


def _tool_names(tools: Iterable[Tool[Any] | Callable[..., Any]]) -> Iterable[str]:
    for tool in tools:
        yield tool.name if isinstance(tool, Tool) else Tool(tool).name


def _toolset_names(toolsets: Iterable[Any]) -> Iterable[str]:
    for toolset in toolsets:
        if isinstance(toolset, FunctionToolset):
            yield from toolset.tools
        elif isinstance(toolset, CombinedToolset):
            yield from _toolset_names(toolset.toolsets)


def _is_listed(toolset: AbstractToolset[Any] | Callable[..., Any]) -> bool:
    """Whether a toolset's tools are known before a run."""
    if isinstance(toolset, CombinedToolset):
        return all(_is_listed(each) for each in toolset.toolsets)
    return isinstance(toolset, FunctionToolset)


def _with_deferred(output_type: Any) -> Any:
    types = list(output_type) if isinstance(output_type, list | tuple) else [output_type]
    return types if DeferredToolRequests in types else [*types, DeferredToolRequests]


def _as_list(instructions: Any) -> list[Any]:
    if instructions is None:
        return []
    if isinstance(instructions, Sequence) and not isinstance(instructions, str):
        return list(instructions)
    return [instructions]
