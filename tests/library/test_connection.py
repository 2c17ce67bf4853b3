"""connect(): a daemon's sandboxes, each call under its profile's policy; the real daemon."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepd import Connection, DeniedError, SandboxStopped, connect, connect_async
from deepd.errors import BadRequestError, DaemonDownError, FileError, ForbiddenError
from tests.agent.waiting import until
from tests.e2e.conftest import User, somebody
from tests.eventually import eventually_sync
from tests.library import world

pytestmark = pytest.mark.docker

PROFILE = """\
image = "deepd-test/python:3.11"
sessions = []

[interrupt_on]
edit_file = "deny"

[interrupt_on.execute]
default = "allow"
ask = ["touch *"]
deny = [{match = "rm *", reason = "nothing is removed"}]
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[User]:
    """Return somebody whose daemon has one profile."""
    with somebody() as user:
        user.run("start", "-c", str(user.profile("python", PROFILE)))
        yield user


@pytest.fixture
def connection(daemon: User) -> Iterator[Connection]:
    """Return a connection to that daemon."""
    with connect(f"{daemon.env['DEEPD_RUNTIME_DIR']}/deepd.sock", name="tests") as made:
        yield made


async def is_one_of(ask: Callable[[], Awaitable[str]], *states: str) -> bool:
    """Whether the state that is asked for is one of these."""
    return await ask() in states


def test_the_same_operations_go_over_the_daemon(connection: Connection) -> None:
    sandbox = connection.get_or_create("main", "python")
    done = sandbox.execute("echo out; sleep 0.1; echo err >&2; exit 3")
    assert (done.output, done.stdout, done.stderr) == ("out\nerr\n", "out\n", "err\n")
    assert (done.exit_code, done.truncated) == (3, False)
    assert done.duration > 0.05
    assert sandbox.write("/workspace/src/a.py", "x = 1\n").path == "/workspace/src/a.py"
    assert sandbox.read("/workspace/src/a.py") == "x = 1\n"
    assert sandbox.write("./src/b.txt", "b").path == "/workspace/src/b.txt"
    assert sandbox.read_bytes("/workspace/src/a.py") == b"x = 1\n"
    assert [info.name for info in sandbox.ls_info("/workspace/src")] == ["a.py", "b.txt"]
    assert [(i.name, i.size) for i in sandbox.glob_info("**/*.py", "/workspace")] == [("a.py", 6)]
    found = sandbox.grep_raw("x =", "/workspace")
    assert isinstance(found, list)
    assert [(match.path, match.line_number) for match in found] == [("/workspace/src/a.py", 1)]
    assert sandbox.exists("/workspace/src")
    assert not sandbox.exists("/workspace/none")
    assert sandbox.is_alive()
    assert sandbox.id == "main"
    assert [row["name"] for row in connection.sessions()] == ["main"]


def test_what_goes_wrong_with_a_file_is_in_the_result(connection: Connection) -> None:
    sandbox = connection.get_or_create("main", "python")
    assert sandbox.read("/nowhere").startswith("Error: cannot read /nowhere: no such file")
    assert "it is a folder" in str(sandbox.write("/workspace", "x").error)
    assert isinstance(sandbox.grep_raw("(", "/workspace"), str)
    with pytest.raises(FileError, match="no such file"):
        sandbox.read_bytes("/nowhere")


def test_a_timeout_carries_what_was_printed(connection: Connection) -> None:
    sandbox = connection.get_or_create("main", "python")
    with pytest.raises(TimeoutError) as caught:
        sandbox.execute("echo begun; sleep 60", timeout=0.5)
    assert getattr(caught.value, "output", b"") == b"begun\n"


def test_a_denied_call_raises_and_a_denied_file_operation_says_so(connection: Connection) -> None:
    sandbox = connection.get_or_create("main", "python")
    sandbox.write("/workspace/file", "kept")
    with pytest.raises(DeniedError, match="nothing is removed"):
        sandbox.execute("rm file")
    denied = sandbox.edit("/workspace/file", "kept", "lost")
    assert denied.path is None
    assert "edit_file" in str(denied.error)
    assert sandbox.read("/workspace/file") == "kept"


def test_a_held_call_waits_for_a_person(daemon: User, connection: Connection) -> None:
    sandbox = connection.get_or_create("main", "python")
    said: list[int] = []
    caller = threading.Thread(target=lambda: said.append(sandbox.execute("touch held").exit_code))
    caller.start()
    eventually_sync(lambda: daemon.json("approvals")["approvals"])
    assert not said
    assert not sandbox.exists("held")
    held = daemon.json("approvals")["approvals"][0]
    daemon.run("approve", held["id"])
    caller.join(30)
    assert said == [0]
    assert sandbox.exists("held")


@pytest.mark.parametrize("command", ["touch never", "sleep 4321"])
async def test_a_call_ends_with_its_caller_held_or_running(daemon: User, command: str) -> None:
    async with connect_async(f"{daemon.env['DEEPD_RUNTIME_DIR']}/deepd.sock") as connection:
        sandbox = await connection.get_or_create("main", "python")
        calling = asyncio.create_task(sandbox.execute(command))

        async def call() -> dict[str, Any]:
            found = await connection.client.calls("main")
            return next((each for each in found if each["args"].get("command") == command), {})

        async def state() -> str:
            return str((await call()).get("state"))

        await until(lambda: is_one_of(state, "held", "running"))
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await until(lambda: is_one_of(state, "cancelled"))
        assert "its caller went away" in (await call())["reason"]
        assert await connection.client.approvals() == []


INTERRUPTED = """
import sys, deepd
with deepd.connect(sys.argv[1]) as daemon:
    daemon.get_or_create("main").execute("touch interrupted")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_held_call_is_taken_back_when_its_program_ends(daemon: User, number: int) -> None:
    program = world.program(INTERRUPTED, f"{daemon.env['DEEPD_RUNTIME_DIR']}/deepd.sock")
    eventually_sync(lambda: daemon.json("approvals")["approvals"])
    program.send_signal(number)
    program.communicate(timeout=30)
    eventually_sync(lambda: not daemon.json("approvals")["approvals"])


def test_stop_is_final_here_and_the_session_goes_on(connection: Connection) -> None:
    sandbox = connection.get_or_create("stopping", "python")
    sandbox.write("/workspace/kept", "kept")
    with sandbox:
        assert sandbox.exists("/workspace/kept")
    sandbox.stop()
    assert not sandbox.is_alive()
    with pytest.raises(SandboxStopped):
        sandbox.execute("true")
    again = connection.get_or_create("stopping")
    with pytest.raises(SandboxStopped, match="deepd start stopping"):
        again.execute("true")
    again.start()
    assert again.read("/workspace/kept") == "kept"
    connection.release("stopping", purge=True)
    eventually_sync(lambda: "stopping" not in [row["name"] for row in connection.sessions()])


def test_an_agent_works_with_what_its_socket_allows(daemon: User) -> None:
    with connect(f"{daemon.env['DEEPD_RUNTIME_DIR']}/agent.sock") as connection:
        with connection.get_or_create("agents", "python") as sandbox:
            assert sandbox.execute("echo hi").output == "hi\n"
        assert not sandbox.is_alive()
        assert connection.get_or_create("agents").execute("echo again").output == "again\n"
        with pytest.raises(ForbiddenError):
            connection.release("agents")


async def test_the_asyncio_twin_is_the_same(daemon: User) -> None:
    socket = Path(daemon.env["DEEPD_RUNTIME_DIR"]) / "deepd.sock"
    async with connect_async(socket) as connection:
        sandbox = await connection.get_or_create("main", "python")
        assert (await sandbox.execute("echo hi")).output == "hi\n"
        assert await sandbox.is_alive()


def test_names_are_checked_before_anything_is_asked(connection: Connection) -> None:
    with pytest.raises(BadRequestError, match="is not a session name"):
        connection.get_or_create("../../x")


def test_no_daemon_is_an_error_that_says_how_to_start_one(tmp_path: Path) -> None:
    with connect(tmp_path / "none.sock") as nobody, pytest.raises(DaemonDownError) as caught:
        nobody.get_or_create("main")
    assert "deepd start" in str(caught.value)
