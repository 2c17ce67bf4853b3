"""An agent whose calls are decided at a shell, with `deepd approve` and `deepd deny`.

The profile holds what the agent runs in its sandbox; what the agent's own tools do is held
because they say so. Both wait in one inbox. Here the person is played by a task.

python -m tests.agent.examples.approved
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic_ai.tools import Tool

from deepd import DeepAgentDeps, DeepdApprovals, connect, create_deep_agent
from tests.agent.scripted import Call, Script, scripted_models

PROFILE = """\
image = "python:3.12-slim"
interrupt_on = ["execute"]
"""


def publish(text: str) -> str:
    """Put a text where everybody reads it."""
    print(f"[published] {text.strip()}")
    return "It is public now."


async def main() -> str:
    """Run the agent to its end; every decision comes from the command line."""
    agent = create_deep_agent(
        model="openai:gpt-4.1",
        tools=[Tool(publish, requires_approval=True)],
        capabilities=[DeepdApprovals(name="reporter")],
    )
    with connect(name="reporter") as daemon:
        deps = DeepAgentDeps(backend=daemon.get_or_create("main"))
        result = await agent.run("Find out the answer and publish it.", deps=deps)
    return str(result.output)


async def person() -> None:
    """Approve whatever comes, as `deepd approvals` shows it, with `deepd approve`."""
    while True:
        for held in (await deepd("approvals", "--quiet")).split():
            print(await deepd("approve", held))
        await asyncio.sleep(0.1)


async def main_and_person() -> str:
    """Let the person decide for as long as the agent works."""
    deciding = asyncio.create_task(person())
    try:
        return await main()
    finally:
        deciding.cancel()


async def deepd(*args: str) -> str:
    """Run `deepd ARGS` and return what it prints."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "deepd", *args],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@contextmanager
def daemon_of_its_own() -> Iterator[None]:
    """Run a daemon in a folder that goes with it, for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="deepd-") as folder:
        profile = Path(folder, "main.toml")
        profile.write_text(PROFILE)
        Path(folder, "run").mkdir(mode=0o700)
        os.environ.update(
            DEEPD_RUNTIME_DIR=f"{folder}/run",
            DEEPD_STATE_DIR=f"{folder}/state",
            XDG_DATA_HOME=f"{folder}/data",
        )
        asyncio.run(deepd("start", "-c", str(profile)))
        try:
            yield
        finally:
            asyncio.run(deepd("stop"))


REPORT = Script(
    [
        Call("execute", {"command": "python3 -c 'print(6 * 7)'"}),
        lambda heard: Call("publish", {"text": f"the answer is {heard[-1]}"}),
        "I found it and published it.",
    ]
)

if __name__ == "__main__":
    with daemon_of_its_own(), scripted_models(REPORT):
        print(asyncio.run(main_and_person()))
