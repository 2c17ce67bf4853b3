"""The dashboard in a real terminal, beside a daemon with a real sandbox."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from deepd.engine.labels import INSTANCE
from tests.e2e.conftest import DEEPD, User
from tests.e2e.tmux import Terminal, terminal
from tests.eventually import eventually_sync
from tests.images import engine_api

pytestmark = pytest.mark.docker
FREE = 'image = "deepd-test/python:3.11"\nidle_timeout = "1h"\n'
HELD = 'image = "deepd-test/python:3.11"\ninterrupt_on = ["execute"]\n'
SIZES = ((80, 24), (120, 40))
_THINK = 1.5
"""Longer than a key that decides is kept from deciding."""


@pytest.fixture
def desk(user: User) -> User:
    """A user whose daemon runs, with `main` ready; commands are held."""
    return begin(user, HELD)


@pytest.fixture
def free(user: User) -> User:
    """A user whose daemon runs, with `main` ready; commands are not held."""
    return begin(user, FREE)


def begin(user: User, profile: str) -> User:
    user.profile("work", profile)
    # On a busy machine the command may stop waiting before the engine has made the sandbox.
    user.run("start", "-c", "work.toml", code=None)
    user.wait_for_state("ready", within=90)
    return user


def hold(user: User, command: str) -> str:
    """Ask for a command that is held, as an agent does; return the call's id."""
    return user.text("exec", "main", "-d", "-c", command).split()[-1]


def state(user: User, call: str) -> str:
    """Return where a call is."""
    return str(user.curl(f"/v1/calls/{call}")["state"])


def dashboard(user: User, size: tuple[int, int], *options: str) -> AbstractContextManager[Terminal]:
    """Open a terminal with a dashboard in it."""
    return terminal(user.home, user.env, [*DEEPD, "dashboard", *options], size)


@pytest.mark.parametrize("size", SIZES)
def test_what_a_person_approves_in_a_terminal_runs_exactly_once(
    desk: User, size: tuple[int, int]
) -> None:
    call = hold(desk, "echo once >> ran; cat ran")
    with dashboard(desk, size) as screen:
        screen.sees("1 pending", "held (1)", "main")
        screen.press("2")
        screen.sees("echo once >> ran; cat ran", "held by work.toml:2:17")
        screen.press("a")  # within a moment of its appearance: it may be meant for something else
        time.sleep(_THINK)
        screen.press("a", "a", "a")
        screen.sees("nothing waits for you")
        eventually_sync(lambda: state(desk, call) == "finished")
        screen.press("3")
        screen.sees("once", "following")
        screen.press("q")
        screen.sees("[ended: 0]")
    assert desk.file("ran") == b"once\n"
    assert desk.curl("/v1/health")["status"] == "ok"


def test_s_opens_a_shell_in_the_sandbox_and_comes_back(free: User) -> None:
    with dashboard(free, (80, 24)) as screen:
        screen.sees("main", "ready", "s Shell")
        screen.press("s")
        screen.sees("$")
        screen.loses("s Shell")
        screen.type("echo $((6*7))-in > here; cat here\n")
        screen.sees("42-in")
        screen.type("exit\n")
        screen.sees("main", "ready", "s Shell")
        screen.press("5")
        screen.sees("work.toml", "revision")
    assert free.file("here") == b"42-in\n"


def test_capital_e_gives_the_terminal_to_the_editor_and_comes_back(free: User) -> None:
    free.env["EDITOR"] = "sed -i s/1h/2h/"
    with dashboard(free, (80, 24)) as screen:
        screen.sees("ready")
        screen.press("5")
        screen.sees("work.toml", "revision")
        before = screen.screen()
        screen.press("E")
        eventually_sync(lambda: "2h" in (free.home / "work.toml").read_text())
        # The file is read again by itself, and the dashboard shows the new revision.
        eventually_sync(lambda: "revision" in screen.screen() and screen.screen() != before)


def test_after_kill_9_and_a_new_start_the_same_call_waits_and_runs_once(desk: User) -> None:
    call = hold(desk, "echo once >> ran")
    with dashboard(desk, (120, 40)) as screen:
        screen.sees("1 pending")
        desk.kill_daemon()
        screen.sees("DISCONNECTED")
        desk.run("start", "-c", "work.toml", code=None)
        screen.loses("DISCONNECTED")
        screen.press("2")
        seen = screen.sees("echo once >> ran")
        assert seen.count("▸") == 1, seen
        assert "00:" in seen or "14:" in seen, seen
        time.sleep(_THINK)
        screen.press("a")
        screen.sees("nothing waits for you")
        eventually_sync(lambda: state(desk, call) == "finished")
    assert desk.file("ran") == b"once\n"


def test_a_read_only_dashboard_decides_nothing(desk: User) -> None:
    call = hold(desk, "echo never")
    with dashboard(desk, (80, 24), "--read-only") as screen:
        screen.sees("READ ONLY")
        screen.press("2")
        screen.sees("echo never")
        time.sleep(_THINK)
        screen.press("a")
        screen.sees("only looks")
    assert state(desk, call) == "held"


def demo(user: User, *options: str) -> list[str]:
    """Return the words that play the demo with an image that is here."""
    return [*DEEPD, "demo", "--image", "deepd-test/python:3.11", *options]


def made_by_demos() -> set[str]:
    """Return the containers of all sessions that are called `demo`, and the folders of demos."""
    api = engine_api()
    rows = api.containers(all=True, filters={"name": "deepd-", "label": INSTANCE})
    containers = {row["Id"] for row in rows if "demo" in row["Names"][0]}
    return containers | {str(path) for path in Path(tempfile.gettempdir()).glob("deepd-demo-*")}


@contextmanager
def nothing_left() -> Iterator[None]:
    """See that a demo leaves nothing; another one beside it may still have what it will remove."""
    before = made_by_demos()
    yield
    there = made_by_demos() - before
    eventually_sync(lambda: not there & made_by_demos(), within=60)


def test_the_demo_ends_with_what_was_approved_and_leaves_nothing(user: User) -> None:
    with nothing_left(), terminal(user.home, user.env, demo(user), (80, 24)) as screen:
        screen.sees("python3 fibonacci.py", "demo agent", "a Approve")
        time.sleep(_THINK)
        screen.press("a")
        screen.sees("0 1 1 2 3 5 8 13 21 34", "[ended: 0]")


def test_a_demo_that_is_left_runs_nothing_and_leaves_nothing(user: User) -> None:
    with nothing_left(), terminal(user.home, user.env, demo(user), (80, 24)) as screen:
        screen.sees("python3 fibonacci.py", "a Approve")
        screen.press("q")
        screen.sees("you left it undecided: nothing ran", "[ended: 0]")
        assert "0 1 1 2" not in screen.screen()


def test_the_demo_without_a_terminal_does_it_all_by_itself(user: User) -> None:
    with nothing_left():
        done = subprocess.run(
            demo(user, "--yes"),
            env=user.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0 1 1 2 3 5 8 13 21 34 \n"
    assert "held: python3 fibonacci.py" in done.stderr


def test_without_a_terminal_dashboard_and_demo_say_what_to_do_instead(user: User) -> None:
    for verb, advice in (("dashboard", "deepd status"), ("demo", "deepd demo --yes")):
        done = user.run(verb, code=64)
        assert advice in done.stderr.decode()
