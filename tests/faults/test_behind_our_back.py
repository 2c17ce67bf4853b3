"""What others do to a container, and what memory does, is seen, shown with its cause and mended."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.e2e.conftest import User, containers

pytestmark = pytest.mark.docker

PROFILE = """\
image = "deepd-test/python:3.11"
idle_timeout = "1h"
[limits]
memory = "64MiB"
"""


def up(user: User) -> str:
    user.run("start", "-c", str(user.profile("hello", PROFILE)))
    return str(user.wait_for_state("ready")["container"])


def causes(user: User, kind: str) -> list[str]:
    """Return the causes that events of one kind have told."""
    lines = user.text("events", "--json").splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event["data"].get("cause", "") for event in events if event["kind"] == kind]


def docker(*args: str) -> None:
    subprocess.run(["docker", *args], capture_output=True, check=True, timeout=30)


def test_a_container_that_others_pause_goes_on_with_its_call(user: User) -> None:
    before = up(user)
    call = user.text("exec", "main", "-d", "-c", "sleep 1; echo done; exit 4").strip()
    docker("pause", before)
    done = user.run("wait", call, code=4, within=20)
    assert done.stdout == b"done\n"
    assert causes(user, "sandbox_resumed") == ["asked to run"]
    assert containers(user) == [before]


def test_a_command_that_eats_all_memory_ends_alone_and_the_sandbox_goes_on(user: User) -> None:
    before = up(user)
    done = user.run("exec", "main", "--", "python3", "-c", "x = bytearray(1 << 30)", code=137)
    assert done.stdout == b""
    assert user.text("exec", "main", "--", "echo", "still here") == "still here\n"
    assert containers(user) == [before]
