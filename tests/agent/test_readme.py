"""What the README says to those who write Python is what happens: every block is a program."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.scripted import TEN_NUMBERS
from tests.e2e.conftest import User, somebody
from tests.e2e.test_readme import section
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
BLOCKS = [code for language, code in section("From Python") if language == "python"]
OFFLINE = "from tests.agent.scripted import scripted_models\nwith scripted_models():\n  exec({!r})"
"""The agent's model follows a script; all else is as it stands in the README."""


@pytest.fixture
def author() -> Iterator[User]:
    """Return somebody who writes Python in an empty folder."""
    with somebody() as user:
        user.env |= {"PYTHONPATH": str(ROOT), "HOME": os.environ.get("HOME", "/")}
        yield user


def start(user: User, code: str) -> subprocess.Popen[str]:
    """Run a program in the user's folder."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=user.home,
        env=user.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(program: subprocess.Popen[str], stdin: str = "") -> str:
    """Return what a program printed until it ended well, and without a word of complaint."""
    out, err = program.communicate(stdin, timeout=120)
    assert (program.returncode, err) == (0, "")
    return out


def test_a_sandbox_runs_what_was_written(author: User) -> None:
    assert said(start(author, BLOCKS[0])) == "hello\n 0\n"


def test_users_find_their_files_again(author: User) -> None:
    assert said(start(author, BLOCKS[1])).split() == ["ann", "1", "bob", "1", "ann", "2"]
    assert (author.home / "workspaces/ann/workspace/visits").read_text() == "here\nhere\n"


@pytest.mark.parametrize(
    ("verb", "expected"), [("approve", "42\n"), ("deny", "not run: denied by a human")]
)
def test_a_daemon_s_session_waits_for_a_person(author: User, verb: str, expected: str) -> None:
    profile = 'image = "deepd-test/python:3.11"\ninterrupt_on = ["execute"]\n'
    author.run("start", "-c", str(author.profile("hello", profile)))
    program = start(author, BLOCKS[2])
    eventually_sync(lambda: author.json("approvals")["approvals"], within=60)
    (held,) = author.json("approvals")["approvals"]
    assert held["client"] == "nightly"
    deciding = threading.Thread(target=author.run, args=(verb, held["id"]))
    deciding.start()
    assert said(program).lower().startswith(expected)
    deciding.join()


@pytest.mark.parametrize(("answer", "shows_numbers"), [("y\n", True), ("n\n", False)])
def test_an_agent_asks_before_it_runs_a_command(
    author: User,
    answer: str,
    *,
    shows_numbers: bool,
) -> None:
    printed = said(start(author, OFFLINE.format(BLOCKS[3])), stdin=answer)
    assert printed.startswith("execute {'command': 'python3 /workspace/fibonacci.py'}? ")
    assert (TEN_NUMBERS in printed) is shows_numbers


def test_every_block_is_tried() -> None:
    assert len(BLOCKS) == 4
