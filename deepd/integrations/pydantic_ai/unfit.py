"""Whether arguments that a person gave fit a tool, by the tool's own validation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.exceptions import ModelRetry, ToolFailed
from pydantic_ai.messages import ToolCallPart

_MAX_PROBLEM = 2000


async def why_unfit(ctx: RunContext[Any], call: ToolCallPart, args: dict[str, Any]) -> str:
    """Return what is wrong with the arguments; empty when the tool takes them."""
    if ctx.tool_manager is None:
        return ""
    edited = replace(call, args=args)
    try:
        await ctx.tool_manager.validate_tool_call(
            edited, approved=True, wrap_validation_errors=False
        )
    except (ValueError, ModelRetry, ToolFailed) as error:  # pydantic's own error is a ValueError
        return _short(error)
    return ""


def _short(error: Exception) -> str:
    problems = getattr(error, "errors", None)
    if not callable(problems):
        return str(error)[:_MAX_PROBLEM]
    lines = [
        f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        for problem in problems(include_url=False, include_input=False)
    ]
    return "; ".join(lines)[:_MAX_PROBLEM]
