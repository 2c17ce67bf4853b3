"""The console tools: what a model reads of what a backend answers."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from pydantic_ai.exceptions import UserError

from deepd.errors import DeniedError, SandboxStopped
from deepd.integrations.pydantic_ai import (
    DeepAgentDeps,
    create_deep_agent,
    models_replaced,
)
from tests.agent.folder import AsyncShell, Folder, Response, Shell
from tests.agent.scripted import Call, Script, scripted_models


async def said(backend: Any, *calls: Call) -> list[str]:
    """Make the calls one after the other, and return what the model was told."""
    script = Script([*calls, "done"])
    agent = create_deep_agent(script.model())
    await agent.run("go", deps=DeepAgentDeps(backend=backend))
    return script.heard


async def test_files_are_written_read_edited_and_found() -> None:
    folder = Folder()
    assert await said(
        folder,
        Call("write_file", {"path": "/a.py", "content": "one\ntwo\n"}),
        Call("read_file", {"path": "/a.py", "offset": 1, "limit": 1}),
        Call("edit_file", {"path": "/a.py", "old": "two", "new": "three"}),
        Call("ls", {"path": "/"}),
        Call("glob", {"pattern": "*.py"}),
        Call("grep", {"pattern": "three"}),
    ) == [
        "Wrote /a.py",
        "two\n",
        "Edited /a.py in 1 place",
        "/a.py  10 bytes",
        "/a.py  10 bytes",
        "/a.py:2:three",
    ]


async def test_what_goes_wrong_with_a_file_is_told_to_the_model() -> None:
    assert await said(
        Folder({"/a": "x x"}),
        Call("write_file", {"path": "/d/", "content": ""}),
        Call("edit_file", {"path": "/a", "old": "x", "new": "y"}),
        Call("read_file", {"path": "/nothing"}),
        Call("ls", {"path": "/missing"}),
        Call("grep", {"pattern": "("}),
        Call("grep", {"pattern": "nowhere"}),
        Call("glob", {"pattern": "nothing"}),
    ) == [
        "Error: /d/ is a folder",
        "Error: the text is in /a 2 times",
        "Error: /nothing: no such file",
        "Error: [Errno 2] No such file or directory: '/missing'",
        "Error: missing )",
        "[no matches]",
        "[nothing]",
    ]


async def test_a_command_tells_its_output_its_exit_code_and_its_timeout() -> None:
    assert await said(
        Shell(),
        Call("execute", {"command": "true"}),
        Call("execute", {"command": "false"}),
        Call("execute", {"command": "huge"}),
        Call("execute", {"command": "slow", "timeout": 3}),
    ) == [
        "ran true\n",
        "[exit code 1]",
        "a lot\n[the output is longer; this is the part that was kept]",
        "half of it\n[killed after 3 s; exit code 124]",
    ]


async def test_a_refusal_is_told_and_a_stopped_sandbox_ends_the_run() -> None:
    class Refusing(Shell):
        def execute(self, command: str, timeout: float | None = None) -> Response:
            if command == "held":
                raise DeniedError("denied by a human", next_step="ask for something else")
            raise SandboxStopped("it was stopped")

    assert await said(Refusing(), Call("execute", {"command": "held"})) == [
        "Error: denied by a human (ask for something else)"
    ]
    with pytest.raises(SandboxStopped):
        await said(Refusing(), Call("execute", {"command": "anything"}))


async def test_execute_is_offered_only_where_the_backend_has_it() -> None:
    class Forbidden(Shell):
        execute_enabled = False

    async def offered(backend: Any, **options: Any) -> bool:
        script = Script(["done"])
        agent = create_deep_agent(script.model(), **options)
        await agent.run("go", deps=DeepAgentDeps(backend=backend))
        return "execute" in script.offered

    assert await offered(Shell())
    assert not await offered(Folder())
    assert not await offered(Forbidden())
    assert not await offered(Shell(), include_execute=False)
    assert await offered(Folder(), include_execute=True)


async def test_the_backend_is_the_runs_own_and_else_the_agents() -> None:
    mine, agents = Shell(), Shell()
    script = Script([Call("execute", {"command": "make"}), "done"])
    agent = create_deep_agent(script.model(), backend=agents)
    await agent.run("go", deps=DeepAgentDeps(backend=mine))
    assert (mine.commands, agents.commands) == (["make"], [])
    await agent.run("go")
    assert (mine.commands, agents.commands) == (["make"], ["make"])
    with pytest.raises(UserError, match="no backend"):
        await create_deep_agent(script.model()).run("go")


async def test_a_synchronous_backend_does_not_block_the_loop() -> None:
    folder = Folder({"/a": "text"})
    await said(folder, Call("read_file", {"path": "/a"}))
    assert folder.threads
    assert threading.get_ident() not in folder.threads


async def test_an_asynchronous_backend_is_awaited_on_the_loop() -> None:
    backend = AsyncShell()
    backend.inner.files["/a"] = "text"
    heard = await said(
        backend, Call("read_file", {"path": "/a"}), Call("execute", {"command": "make"})
    )
    assert heard == ["text", "ran make\n"]
    assert backend.inner.threads == {threading.get_ident()}


async def test_named_models_are_replaced_while_asked_for_and_only_then() -> None:
    agent = create_deep_agent(model="openai:gpt-4.1", backend=Shell())
    other = create_deep_agent(Script(["my own"]).model(), backend=Shell())
    with scripted_models(Script(["offline"])):
        assert (await agent.run("go")).output == "offline"
        assert (await other.run("go")).output == "my own"
        with models_replaced(Script(["inner"]).model()):
            assert (await agent.run("go")).output == "inner"
    with pytest.raises(Exception, match=r"(?i)openai"):
        await agent.run("go")


def test_importing_deepd_does_not_load_pydantic_ai() -> None:
    check = "import sys, deepd, deepd.integrations; print('pydantic_ai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
