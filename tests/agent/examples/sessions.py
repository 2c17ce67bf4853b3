"""Users who come back: each has a sandbox and files of their own, found by a name.

python -m tests.agent.examples.sessions
"""

from __future__ import annotations

import asyncio
import tempfile

from deepd import DeepAgentDeps, SessionManager, create_deep_agent
from tests.agent.scripted import Call, Script, scripted_models


async def serve(manager: SessionManager, user: str) -> str:
    """Let an agent work for a user, in that user's sandbox."""
    agent = create_deep_agent(model="openai:gpt-4.1")
    sandbox = await manager.get_or_create(user)
    result = await agent.run("Note that I was here.", deps=DeepAgentDeps(backend=sandbox))
    return str(result.output)


async def main(folder: str) -> list[str]:
    """Serve two users; the first one comes back after everything was shut down."""
    answers = []
    async with SessionManager(workspace_root=folder, image="python:3.12-slim") as manager:
        answers += [await serve(manager, "ann"), await serve(manager, "bob")]
    async with SessionManager(workspace_root=folder, image="python:3.12-slim") as manager:
        answers.append(await serve(manager, "ann"))
    return answers


VISIT = Script(
    [
        Call("execute", {"command": "echo here >> visits"}),
        Call("execute", {"command": "wc -l < visits"}),
        lambda heard: f"visits: {heard[-1].strip()}",
    ]
)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as here, scripted_models(VISIT):
        print(*asyncio.run(main(here)), sep="\n")
