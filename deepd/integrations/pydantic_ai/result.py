"""The result of a deep agent's run: pydantic-ai's own, and beside it the calls that are held."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import DeferredToolRequests


@dataclass(frozen=True, slots=True)
class HeldCall:
    """A call that an agent wants to make."""

    tool_name: str
    args: dict[str, Any]
    tool_call_id: str
    """By which `DeferredToolResults` answers it."""


@dataclass
class DeepAgentRunResult(AgentRunResult[Any]):
    """An `AgentRunResult`, of which the held calls can be read without knowing its output."""

    @classmethod
    def of(cls, result: AgentRunResult[Any]) -> Self:
        """Return the same result with `deferred_tool_calls`."""
        return cls(**{field.name: getattr(result, field.name) for field in fields(result)})

    @property
    def deferred_tool_calls(self) -> list[HeldCall]:
        """The calls that wait for a person, or for a result from elsewhere; empty when none does.

        `self.output` has the same calls as pydantic-ai's `DeferredToolRequests`.
        """
        if not isinstance(self.output, DeferredToolRequests):
            return []
        held = [*self.output.approvals, *self.output.calls]
        return [HeldCall(call.tool_name, call.args_as_dict(), call.tool_call_id) for call in held]
