"""An agent writes a program, waits for a person before it runs it, and shows what it printed.

python -m tests.agent.examples.fibonacci
"""

from __future__ import annotations

import asyncio

from pydantic_ai.tools import DeferredToolResults

from deepd import DeepAgentDeps, DockerSandbox, create_deep_agent
from tests.agent.scripted import scripted_models


async def main() -> str:
    """Run the agent to its end, and approve what it asks for."""
    sandbox = DockerSandbox(image="python:3.12-slim", work_dir="/workspace")
    deps = DeepAgentDeps(backend=sandbox)
    agent = create_deep_agent(
        model="openai:gpt-4.1",
        instructions="You are a Python assistant. Always test your code by running it.",
        interrupt_on={"execute": True},
    )
    try:
        result = await agent.run("Print the first 10 Fibonacci numbers.", deps=deps)
        while held := result.deferred_tool_calls:
            for call in held:
                print(f"[approval] {call.tool_name}: {call.args['command']}")
            approved = DeferredToolResults(approvals={call.tool_call_id: True for call in held})
            result = await agent.run(
                message_history=result.all_messages(), deferred_tool_results=approved, deps=deps
            )
    finally:
        sandbox.stop()
    return str(result.output)


if __name__ == "__main__":
    with scripted_models():
        print(asyncio.run(main()))
