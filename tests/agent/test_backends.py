"""The console tools over every backend that there is: an agent reads the same of all of them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import deepd
from deepd import DeepAgentDeps, create_deep_agent
from tests.agent.scripted import Call, Script
from tests.agent.waiting import until
from tests.e2e.conftest import User

pytestmark = pytest.mark.docker

KINDS = ("DockerSandbox", "AsyncDockerSandbox", "DaemonSandbox", "AsyncDaemonSandbox", "Local")


@asynccontextmanager
async def backend_of(kind: str, daemon: User) -> AsyncIterator[Any]:
    """Give a backend of a kind, with an empty working folder."""
    socket = f"{daemon.env['DEEPD_RUNTIME_DIR']}/agent.sock"
    match kind:
        case "DockerSandbox":
            async with deepd.DockerSandbox() as sandbox:
                yield sandbox
        case "AsyncDockerSandbox":
            async with deepd.AsyncDockerSandbox() as twin:
                yield twin
        case "DaemonSandbox":
            with deepd.connect(socket) as connection:
                yield await asyncio.to_thread(connection.get_or_create, "front", "open")
        case "AsyncDaemonSandbox":
            async with deepd.connect_async(socket) as connection_async:
                yield await connection_async.get_or_create("twin", "open")
        case _:
            with tempfile.TemporaryDirectory() as folder:
                async with deepd.LocalBackend(folder) as local:
                    yield local


async def told(backend: Any, *calls: Call) -> list[str]:
    """Make the calls one after the other, and return what the model was told."""
    script = Script([*calls, "done"])
    await create_deep_agent(script.model()).run("go", deps=DeepAgentDeps(backend=backend))
    return script.heard


@pytest.mark.parametrize("kind", KINDS)
async def test_an_agent_reads_the_same_of_every_backend(kind: str, daemon: User) -> None:
    async with backend_of(kind, daemon) as backend:
        root = await root_of(backend)
        file = f"{root}/src/a.py"
        heard = await told(
            backend,
            Call("write_file", {"path": file, "content": "one\ntwo\n"}),
            Call("edit_file", {"path": file, "old": "two", "new": "three"}),
            Call("edit_file", {"path": file, "old": "four", "new": "five"}),
            Call("read_file", {"path": "src/a.py", "limit": 1}),
            Call("read_file", {"path": f"{root}/none"}),
            Call("ls", {"path": "src"}),
            Call("glob", {"pattern": "**/*.py"}),
            Call("grep", {"pattern": "thr.e", "path": "."}),
            Call("execute", {"command": "echo out; echo err >&2; exit 3"}),
            Call("execute", {"command": "echo begun; sleep 4321", "timeout": 1}),
            Call("execute", {"command": "no-such-program"}),
        )
    missing = f"the text to replace is not in {file}"
    assert heard[:8] == [
        f"Wrote {file}",
        f"Edited {file} in 1 place",
        f"Error: {missing} (read the file again: it must match exactly, with white space)",
        "one\n[... 1 more lines. Use offset=1 to read more.]",
        f"Error: cannot read {root}/none: no such file or folder",
        f"{file}  10 bytes",
        f"{file}  10 bytes",
        f"{file}:2:three",
    ]
    assert sorted(heard[8].splitlines()) == ["[exit code 3]", "err", "out"]
    assert heard[9] == "begun\n[killed after 1 s; exit code 124]"
    assert heard[10].endswith("[exit code 127]")


async def root_of(backend: Any) -> str:
    """Return the folder that commands run in."""
    return (await told(backend, Call("execute", {"command": "pwd"})))[0].strip()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_run_ends_its_command_in_every_backend(kind: str, daemon: User) -> None:
    async with backend_of(kind, daemon) as backend:
        beat = "while :; do date +%N > beat; sleep 0.05; done"
        running = asyncio.create_task(told(backend, Call("execute", {"command": beat})))
        root = await root_of(backend)

        async def time() -> str:
            return (await told(backend, Call("read_file", {"path": f"{root}/beat"})))[0]

        async def is_beating() -> bool:
            before = await time()
            await asyncio.sleep(0.3)
            return await time() != before

        async def is_still() -> bool:
            return not await is_beating()

        await until(is_beating)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(is_still)
