"""The gate of an agent: every call of every tool passes it, and it holds or refuses some."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ApprovalRequired, ToolFailed
from pydantic_ai.run import AgentRunResult
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool, WrapperToolset

from deepd.integrations.pydantic_ai.interrupt import Interrupts, unknown_tool
from deepd.integrations.pydantic_ai.result import DeepAgentRunResult
from deepd.model.profile import CONSOLE_TOOLS


@dataclass
class InterruptGate(AbstractCapability[Any]):
    """Holds the calls that `interrupt_on` names, whatever toolset they belong to."""

    interrupts: Interrupts
    unseen: tuple[str, ...] = ()
    """Names that no tool known so far has; a run in which none has them either is refused."""

    def get_wrapper_toolset(self, toolset: AbstractToolset[Any]) -> AbstractToolset[Any]:
        """Put the gate in front of all tools of a run."""
        return _Gate(toolset, self.interrupts, self.unseen)

    async def after_run(
        self,
        ctx: RunContext[Any],  # noqa: ARG002 - the hook's signature
        *,
        result: AgentRunResult[Any],
    ) -> AgentRunResult[Any]:
        """Give the result its `deferred_tool_calls`."""
        return DeepAgentRunResult.of(result)


@dataclass
class _Gate(WrapperToolset[Any]):
    interrupts: Interrupts
    unseen: tuple[str, ...]

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        tools = await self.wrapped.get_tools(ctx)
        check_names(self.unseen, (*tools, *CONSOLE_TOOLS))
        return tools

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        verdict = self.interrupts.decide(name, tool_args)
        if verdict.answer == "deny":
            why = verdict.reason or f"it may not be called here, by {verdict.rule}"
            raise ToolFailed(f"Denied: {name}: {why}")
        if verdict.answer == "ask" and not ctx.tool_call_approved:
            raise ApprovalRequired(metadata={"rule": verdict.rule})
        return await self.wrapped.call_tool(name, tool_args, ctx, tool)


def check_names(names: Iterable[str], tools: Iterable[str]) -> None:
    """Raise `ArgumentsError` for the first name that none of the tools has."""
    known = set(tools)
    for name in names:
        if name not in known:
            raise unknown_tool(name, known)
