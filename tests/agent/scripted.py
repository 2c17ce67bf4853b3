"""Models that follow a script: agents run offline, and do the same every time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from deepd.integrations.pydantic_ai import models_replaced

FIBONACCI = """\
def fibonacci(count):
    a, b = 0, 1
    for _ in range(count):
        yield a
        a, b = b, a + b


print(*fibonacci(10), sep=", ")
"""
PATH = "/workspace/fibonacci.py"
TEN_NUMBERS = "0, 1, 1, 2, 3, 5, 8, 13, 21, 34"

Turn = Callable[[list[str]], "Call | list[Call] | str"]
"""What the model does next, given all that its tools have answered so far."""


@dataclass(frozen=True)
class Call:
    """A tool call that a script makes."""

    tool: str
    args: dict[str, Any] = field(default_factory=dict)
    as_json: bool = False
    """Give the arguments as providers mostly do: as a JSON text."""


@dataclass
class Script:
    """A model that takes one turn after the other, and keeps what it was told."""

    turns: Sequence[Turn | Call | list[Call] | str]
    heard: list[str] = field(default_factory=list)
    """What the tools answered, in order."""
    offered: list[str] = field(default_factory=list)
    """The names of the tools that the model was offered last."""
    asked: int = 0

    def model(self) -> FunctionModel:
        """Return the model that plays the script."""
        return FunctionModel(self._respond, model_name="scripted")

    def _respond(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.asked += 1
        self.offered = [tool.name for tool in info.function_tools]
        self.heard = tool_answers(messages)
        # The turn goes by what was said before, so that a resumed run finds its place.
        number = sum(isinstance(message, ModelResponse) for message in messages)
        turn = self.turns[min(number, len(self.turns) - 1)]
        made = turn(self.heard) if callable(turn) else turn
        if isinstance(made, str):
            return ModelResponse(parts=[TextPart(made)])
        calls = made if isinstance(made, list) else [made]
        return ModelResponse(parts=[_part(call, number, at) for at, call in enumerate(calls)])


def tool_answers(messages: Sequence[ModelMessage]) -> list[str]:
    """Return what the tools of a run answered, in order."""
    return [
        str(part.content)
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]


def fibonacci_script() -> Script:
    """Return the script of the page's example: write the file, run it, show the output."""
    return Script(
        [
            Call("write_file", {"path": PATH, "content": FIBONACCI}),
            Call("execute", {"command": f"python3 {PATH}"}, as_json=True),
            lambda heard: f"The first ten Fibonacci numbers:\n{heard[-1]}",
        ]
    )


@contextmanager
def scripted_models(script: Script | None = None) -> Iterator[Script]:
    """Play a script, that of the page's example by default, in place of every named model."""
    playing = script or fibonacci_script()
    with models_replaced(playing.model()):
        yield playing


def _part(call: Call, turn: int, at: int) -> ToolCallPart:
    args = json.dumps(call.args) if call.as_json else call.args
    return ToolCallPart(call.tool, args, tool_call_id=f"call-{turn}-{at}")
