"""The main job on every engine, and that all say how far a sandbox is isolated."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from deepd.engine.level import NONE
from tests.e2e.conftest import DEEPD, User, somebody
from tests.e2e.engines import ENGINES, choose_engine
from tests.e2e.tmux import terminal
from tests.eventually import eventually_sync
from tests.tui.approving import approvals
from tests.tui.world import dashboard

LEVELS = {
    "docker": "",
    "podman": "",
    "local": "namespaces (mount, pid, ipc, uts; bubblewrap",
    "local-guest": "namespaces (mount, pid, ipc, uts; made by the guest",
    "none": NONE,
}
"""What is said of a session; a container is what people expect."""


@pytest.fixture(scope="module", params=[*ENGINES, "none"])
def engine(request: pytest.FixtureRequest) -> str:
    """Return the name of each engine, and of none at all."""
    return str(request.param)


@pytest.fixture(scope="module")
def desk(request: pytest.FixtureRequest, engine: str) -> Iterator[User]:
    """Somebody whose daemon runs on that engine; commands are held."""
    with somebody() as user:
        text = 'interrupt_on = ["execute"]\n' + choose_engine(request, engine, user)
        user.profile("work", text)
        start(user)
        user.wait_for_state("ready", within=90)
        yield user


def start(user: User) -> None:
    """Start the daemon; on a busy machine it may serve before an engine has answered."""
    user.run("start", "-c", "work.toml", code=None)
    eventually_sync(lambda: user.run("status", code=None).returncode == 0, within=90)


def hold(user: User, command: str) -> str:
    """Ask for a command, which is held, and return the call's id."""
    return user.text("exec", "main", "-d", "-c", command).split()[-1]


def test_what_is_held_outlives_its_daemon_and_runs_once(desk: User) -> None:
    before = desk.session()["container"]
    desk.run("cp", "-", "main:answer.py", stdin=b"open('runs', 'a').write('x'); print(6 * 7)\n")
    held = desk.text("exec", "main", "-d", "--", "/usr/bin/python3", "answer.py").strip()
    eventually_sync(lambda: desk.text("approvals", "-q").split() == [held])

    desk.kill_daemon()
    start(desk)

    assert desk.wait_for_state("held", within=90)["container"] == before
    desk.run("approve", held)
    assert desk.text("wait", held) == "42\n"
    assert desk.text("cp", "main:runs", "-") == "x"
    desk.run("approve", held, code=8)


async def test_what_a_person_approves_in_the_dashboard_runs_once(desk: User) -> None:
    call = hold(desk, "echo $((6*7)) >> shown; cat shown")
    async with dashboard(desk) as screen:
        await screen.sees("1 pending")
        await approvals(screen, "echo $((6*7)) >> shown; cat shown")
        await screen.press("a", "a")
        await screen.sees("nothing waits for you")
    assert desk.text("wait", call) == "42\n"


def test_no_socket_of_the_daemon_is_reached_from_a_sandbox(desk: User, engine: str) -> None:
    if engine == "none":
        pytest.skip("nothing keeps a plain process from what its user may open")
    program = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    for name in ("deepd.sock", "agent.sock"):
        path = desk.socket.with_name(name)
        assert path.is_socket()
        call = hold(desk, f"/usr/bin/python3 -c '{program}' {path}")
        desk.run("approve", call)
        done = desk.run("wait", call, code=1)
        assert b"FileNotFoundError" in done.stderr + done.stdout


def test_status_the_api_and_the_dashboard_say_how_far_it_is_isolated(
    desk: User, engine: str
) -> None:
    level = LEVELS[engine]
    if os.geteuid() != 0:
        level = level.replace("(mount", "(user, mount")
    session = desk.curl("/v1/sessions/main")
    assert session["isolation"].startswith(level)
    assert bool(session["isolation"]) is bool(level)
    name = engine if engine in {"docker", "podman"} else "local"
    status = desk.text("status")
    assert (f"{name}: {level}" in status) is bool(level)
    assert desk.curl("/v1/info")["engine"]["isolation"] in status
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    env = desk.env | {"PATH": os.environ["PATH"]}
    with terminal(desk.home, env, [*DEEPD, "dashboard"], (160, 40)) as screen:
        screen.sees("main", f"{name}: none" if engine == "none" else name)
        screen.press("Enter")
        screen.sees("container number", *([f"isolation         {level}"] if level else []))


def test_nothing_is_isolated_less_than_its_profile_says(desk: User, engine: str) -> None:
    """A reload to less makes a new sandbox, and is said everywhere."""
    if not engine.startswith("local"):
        pytest.skip("a container engine has one level")
    before = desk.wait_for_state("ready")
    text = (desk.home / "work.toml").read_text()
    desk.home.chmod(0o711)  # a plain process of an ordinary user goes this way
    where = f'workspace_root = "{desk.home}/workspaces"\n'
    desk.profile("work", f'{where}{text}[local]\nisolation = "none"\n')
    eventually_sync(lambda: desk.session()["container"] not in {"", before["container"]})
    assert desk.wait_for_state("ready")["isolation"] == NONE
    assert f"local: {NONE}: main" in desk.text("status")
    desk.profile("work", text)
    eventually_sync(lambda: desk.session()["isolation"] == before["isolation"])
