"""The engine dies, falls silent or comes back empty under a daemon with calls in every state."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.conftest import User, containers
from tests.eventually import eventually_sync
from tests.faults.second_engine import SecondEngine

pytestmark = pytest.mark.docker

PROFILE = """\
image = "deepd-test/busybox"
idle_timeout = "1h"
[interrupt_on]
execute = "allow"
write_file = "ask"
"""
SLOWLY = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.25; done; exit 5"


def up(user: User) -> str:
    """Start a daemon on the profile and return its session's container."""
    user.run("start", "-c", str(user.profile("hello", PROFILE)))
    return str(user.wait_for_state("ready")["container"])


def run_slowly(user: User) -> str:
    """Begin a command that takes two seconds; return its call once it runs."""
    call = user.text("exec", "main", "-d", "-c", SLOWLY).strip()
    eventually_sync(lambda: state(user, call) == "running")
    return call


def hold(user: User) -> str:
    """Ask for a write that a person must approve; return its call."""
    args = {"path": "held", "content": "once\n", "append": True}
    body = {"tool": "write_file", "args": args, "background": True}
    return str(user.curl("/v1/sessions/main/calls", body)["id"])


def call_of(user: User, call: str) -> dict[str, Any]:
    found: dict[str, Any] = user.curl(f"/v1/calls/{call}")
    return found


def state(user: User, call: str) -> str:
    return str(call_of(user, call)["state"])


def engine_state(user: User) -> str:
    return str(user.curl("/v1/info")["engine"]["state"])


def test_calls_outlive_an_engine_that_is_killed_and_restarted(
    far_user: User, engine: SecondEngine
) -> None:
    user, before = far_user, up(far_user)
    running, held = run_slowly(user), hold(user)

    engine.kill()
    eventually_sync(lambda: engine_state(user) == "down")
    assert user.curl("/v1/health")["status"] == "degraded"
    assert state(user, held) == "held"
    engine.start(live_restore=True)

    done = user.run("wait", running, code=5)
    assert done.stdout == b"".join(b"%d\n" % i for i in range(1, 9))
    eventually_sync(lambda: engine_state(user) == "up")
    user.run("approve", held)
    eventually_sync(lambda: state(user, held) == "finished")
    assert user.file("held") == b"once\n"
    assert containers(user) == [before]


def test_a_call_asked_for_and_approved_while_the_engine_is_away_runs_once(
    far_user: User, engine: SecondEngine
) -> None:
    user, before = far_user, up(far_user)
    held = hold(user)
    engine.kill()
    eventually_sync(lambda: engine_state(user) == "down")
    user.run("approve", held)
    engine.start(live_restore=True)
    eventually_sync(lambda: state(user, held) == "finished", within=30)
    assert user.file("held") == b"once\n"
    assert containers(user) == [before]


def test_a_silent_engine_is_left_in_time_and_makes_nothing_twice(
    far_user: User, engine: SecondEngine
) -> None:
    user = far_user
    user.env["DEEPD_ENGINE_TIMEOUT"] = "2"
    before = up(user)
    running = run_slowly(user)

    engine.freeze()
    user.curl("/v1/sessions", {"name": "second", "profile": "hello"})
    began = time.monotonic()
    user.run("exec", "second", "--timeout", "3s", "--", "true", code=69)
    assert time.monotonic() - began < 30
    eventually_sync(lambda: user.curl("/v1/health")["status"] == "degraded")
    engine.thaw()

    eventually_sync(lambda: user.curl("/v1/health")["status"] == "ok", within=30)
    assert user.run("wait", running, code=5).returncode == 5
    assert user.text("exec", "second", "--", "echo", "healed") == "healed\n"
    assert sorted(containers(user)) == sorted([before, user.session("second")["container"]])


def test_calls_outlive_a_containerd_that_is_killed(far_user: User, engine: SecondEngine) -> None:
    user, before = far_user, up(far_user)
    running, held = run_slowly(user), hold(user)
    engine.kill_containerd()
    done = user.run("wait", running, code=5)
    assert done.stdout == b"".join(b"%d\n" % i for i in range(1, 9))
    user.run("approve", held)
    eventually_sync(lambda: state(user, held) == "finished", within=30)
    assert user.file("held") == b"once\n"
    assert containers(user) == [before]
    user.curl("/v1/sessions", {"name": "second", "profile": "hello"})
    user.wait_for_state("ready", "second", within=60)


def test_a_silent_containerd_holds_up_starts_and_nothing_that_runs(
    far_user: User, engine: SecondEngine
) -> None:
    user = far_user
    user.env["DEEPD_ENGINE_TIMEOUT"] = "2"
    before = up(user)
    running = run_slowly(user)
    engine.freeze_containerd()
    try:
        user.curl("/v1/sessions", {"name": "second", "profile": "hello"})
        assert user.text("exec", "main", "--", "echo", "fine") == "fine\n"
        assert user.run("wait", running, code=5).stdout.endswith(b"8\n")
        waiting = user.text("exec", "second", "-d", "--", "echo", "healed").strip()
        began = time.monotonic()
        user.run("exec", "second", "--timeout", "4s", "--", "true", code=6)
        assert time.monotonic() - began < 30, "its own time, not the five minutes of its profile"
        assert user.curl("/v1/health")["status"] in {"ok", "degraded"}
    finally:
        engine.thaw_containerd()
    assert user.run("wait", waiting).stdout == b"healed\n"
    assert sorted(containers(user)) == sorted([before, user.session("second")["container"]])


def test_containers_that_ended_while_the_engine_was_away_end_their_calls_as_lost(
    far_user: User, engine: SecondEngine
) -> None:
    user, before = far_user, up(far_user)
    running, held = run_slowly(user), hold(user)
    engine.kill()
    engine.start(live_restore=False)  # it kills what a former one left running

    eventually_sync(lambda: state(user, running) == "lost", within=30)
    assert "its sandbox was ended under it" in call_of(user, running)["reason"]
    assert state(user, held) == "held"
    eventually_sync(lambda: containers(user) not in ([], [before]), within=30)


def test_an_engine_that_takes_its_containers_along_loses_the_call_and_says_why(
    far_user: User, engine: SecondEngine
) -> None:
    user = far_user
    engine.end()
    engine.start(live_restore=False)
    before = up(user)
    running, held = run_slowly(user), hold(user)

    engine.end()
    eventually_sync(lambda: engine_state(user) == "down")
    engine.start(live_restore=False)

    eventually_sync(lambda: state(user, running) == "lost", within=30)
    assert "its sandbox was ended under it" in call_of(user, running)["reason"]
    assert "its sandbox was ended" in user.run("wait", running, code=None).stderr.decode()
    assert state(user, held) == "held"
    user.run("approve", held)
    eventually_sync(lambda: state(user, held) == "finished", within=30)
    assert user.file("held") == b"once\n"
    (after,) = containers(user)
    assert after != before
