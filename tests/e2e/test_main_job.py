"""The main job, as a user does it: a profile, containers, calls, approvals, reloads, the end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import User, containers
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

PROFILE = """\
image = "deepd-test/python:3.11"
idle_timeout = "1h"
"""


def test_from_a_profile_to_an_approved_command_and_back_to_nothing(user: User) -> None:
    path = user.profile("hello", PROFILE + 'interrupt_on = ["execute"]\n')

    # Start on a profile: containers appear.
    assert "main" in user.text("start", "-c", str(path))
    first = user.wait_for_state("ready")
    assert containers(user) == [first["container"]]

    # Files are not held here; `curl` reads what `cp` wrote.
    user.run("cp", "-", "main:answer.py", stdin=b"open('runs', 'a').write('x'); print(6 * 7)\n")

    # An `execute` under `interrupt_on` waits, and shows.
    waiting = user.spawn("exec", "main", "--", "python3", "answer.py")
    eventually_sync(lambda: user.text("approvals", "-q"))
    held = user.json("approvals")["approvals"][0]
    assert held["args"]["argv"] == ["python3", "answer.py"]
    assert "hello.toml:3" in held["rule"]
    assert waiting.poll() is None
    assert user.session()["state"] == "held"

    # It runs exactly once after `deepd approve`.
    user.run("approve", held["id"][:12])
    out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, out) == (0, b"42\n"), err
    assert user.file("runs") == b"x"
    user.run("approve", held["id"], code=8)

    # Another is refused with its reason after `deepd deny`.
    refused = user.spawn("exec", "main", "--", "python3", "answer.py")
    eventually_sync(lambda: user.text("approvals", "-q"))
    user.run("deny", user.text("approvals", "-q").strip(), "-m", "use the test data")
    _, err = refused.communicate(timeout=30)
    assert refused.returncode == 7
    assert b"use the test data" in err
    assert user.file("runs") == b"x"

    # `deepd stop` leaves no container behind; the workspace stays.
    user.run("stop")
    assert containers(user) == []
    user.run("status", code=3)
    workspace = Path(user.env["DEEPD_STATE_DIR"]) / "workspaces/main/workspace"
    assert (workspace / "answer.py").exists()


def test_curl_runs_a_command_and_gets_its_output(user: User) -> None:
    user.run("start", "-c", str(user.profile("hello", PROFILE)))
    reply = user.curl("/v1/sessions/main/exec", {"command": "echo hello; echo oops >&2; exit 3"})
    assert (reply["stdout"]["text"], reply["stderr"]["text"]) == ("hello\n", "oops\n")
    assert reply["call"]["exit_code"] == 3


def test_an_edited_idle_timeout_takes_effect_without_touching_the_container(user: User) -> None:
    user.run("start", "-c", str(user.profile("hello", PROFILE)))
    before = user.wait_for_state("ready")
    user.profile("hello", PROFILE.replace("1h", "2h"))
    eventually_sync(lambda: (user.session()["idle_at"] or 0) > before["idle_at"] + 3000)
    assert user.session()["container"] == before["container"]


def test_a_new_image_recreates_the_container_but_never_under_a_running_call(user: User) -> None:
    user.run("start", "-c", str(user.profile("hello", PROFILE)))
    before = user.wait_for_state("ready")
    running = user.spawn("exec", "main", "--", "sh", "-c", "echo on; sleep 3; echo done")
    user.wait_for_state("busy")
    user.profile("hello", PROFILE.replace("deepd-test/python:3.11", "deepd-test/busybox"))
    eventually_sync(lambda: user.session()["stale"])
    assert user.session()["container"] == before["container"]
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (0, b"on\ndone\n"), err
    eventually_sync(lambda: user.session()["container"] not in {"", before["container"]}, within=30)
    user.wait_for_state("ready")
    assert containers(user) == [user.session()["container"]]
    assert user.run("exec", "main", "--", "python3", "-V", code=127)


def test_a_new_volume_recreates_the_container(user: User) -> None:
    (user.home / "data").mkdir(mode=0o755)
    user.run("start", "-c", str(user.profile("hello", PROFILE)))
    before = user.wait_for_state("ready")
    (user.home / "data" / "a").write_text("mounted")
    user.profile("hello", PROFILE + 'volumes = ["./data:/data:ro"]\n')
    eventually_sync(lambda: user.session()["container"] not in {"", before["container"]})
    assert user.text("exec", "main", "--", "cat", "/data/a") == "mounted"


def test_a_broken_file_leaves_everything_as_it_was_and_says_where(user: User) -> None:
    user.run("start", "-c", str(user.profile("hello", PROFILE)))
    before = user.wait_for_state("ready")
    user.profile("hello", PROFILE + 'idle_timout = "5m"\n')
    eventually_sync(lambda: "stale" in user.text("status"))
    status = user.text("status")
    assert "hello.toml:3:1" in status
    assert "did you mean `idle_timeout`" in status
    assert user.session()["container"] == before["container"]
    assert user.text("exec", "main", "--", "echo", "still here") == "still here\n"
    user.profile("hello", PROFILE)
    eventually_sync(lambda: "stale" not in user.text("status"))


def test_idle_stops_the_container_and_the_next_call_brings_it_back_with_its_files(
    user: User,
) -> None:
    user.run("start", "-c", str(user.profile("hello", PROFILE.replace("1h", "2s"))))
    user.run("exec", "main", "--", "sh", "-c", "echo kept > note")
    eventually_sync(lambda: containers(user) == [], within=30)
    assert user.session()["state"] == "stopped"
    assert "idle" in user.session()["cause"]
    assert user.text("exec", "main", "--", "cat", "note") == "kept\n"


def test_a_session_that_had_idled_out_comes_up_with_the_next_start(user: User) -> None:
    path = str(user.profile("hello", PROFILE.replace("1h", "2s")))
    user.run("start", "-c", path)
    eventually_sync(lambda: containers(user) == [], within=30)
    user.run("stop")
    assert "ready" in user.text("start", "-c", path)


def test_a_plan_says_what_a_first_start_would_do_and_what_a_reload_would(user: User) -> None:
    path = user.profile("hello", PROFILE)
    assert "+ main" in user.text("plan", "-c", str(path), code=2)
    user.run("start", "-c", str(path))
    assert user.text("plan") == "nothing to do\n"


def test_stop_keeps_the_containers_when_told_to_and_start_adopts_them(user: User) -> None:
    path = str(user.profile("hello", PROFILE))
    user.run("start", "-c", path)
    before = user.wait_for_state("ready")["container"]
    user.run("stop", "--keep")
    assert containers(user) == [before]
    user.run("start", "-c", path)
    assert user.wait_for_state("ready")["container"] == before


def test_kill_nine_loses_neither_the_held_call_nor_the_running_one(user: User) -> None:
    path = str(
        user.profile("hello", PROFILE + "[interrupt_on]\nwrite_file = true\nexecute = false\n")
    )
    user.run("start", "-c", path)
    before = user.wait_for_state("ready")["container"]
    script = "echo x >> runs; for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.4; done; exit 5"
    running = user.text("exec", "main", "-d", "-c", script).strip()
    held = user.curl(
        "/v1/sessions/main/calls",
        {"tool": "write_file", "args": {"path": "held", "content": "y"}, "background": True},
    )["id"]
    eventually_sync(lambda: user.curl(f"/v1/calls/{running}")["state"] == "running")

    user.kill_daemon()
    user.run("start", "-c", path)

    assert user.wait_for_state("held")["container"] == before
    assert [item["id"] for item in user.json("approvals")["approvals"]] == [held]
    done = user.run("wait", running, code=5)
    assert done.stdout == b"".join(b"%d\n" % i for i in range(1, 11))
    user.run("approve", held)
    eventually_sync(lambda: user.curl(f"/v1/calls/{held}")["state"] == "finished")
    assert user.text("exec", "main", "--", "cat", "held", "runs") == "yx\n"
    assert containers(user) == [before]


def test_output_of_ten_megabytes_binary_or_not_utf8_arrives(user: User) -> None:
    text = PROFILE + '[limits]\noutput = "16MiB"\n'
    user.run("start", "-c", str(user.profile("hello", text)))
    done = user.run("exec", "main", "--", "head", "-c", "10485760", "/dev/zero")
    assert done.stdout == bytes(10485760)
    every_byte = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 100)"
    assert user.run("exec", "main", "--", "python3", "-c", every_byte).stdout == (
        bytes(range(256)) * 100
    )
    reply = user.curl("/v1/sessions/main/exec", {"argv": ["printf", r"\377\376"]})
    assert reply["stdout"] == {"base64": "//4="}


def test_sixteen_calls_in_one_sandbox_run_at_the_same_time(user: User) -> None:
    user.run("start", "-c", str(user.profile("hello", PROFILE)))
    # Each waits until all sixteen are there: one after the other would never end.
    script = "mkdir -p all; touch all/$$; while [ $(ls all | wc -l) -lt 16 ]; do sleep 0.05; done"
    calls = [user.text("exec", "main", "-d", "-c", script).strip() for _ in range(16)]
    for call in calls:
        user.run("wait", call)


def test_a_background_child_does_not_hold_its_command_up(user: User) -> None:
    user.run("start", "-c", str(user.profile("hello", PROFILE)))
    assert user.text("exec", "main", "-c", "sleep 60 & echo done", within=20) == "done\n"


def test_nothing_survives_a_timeout(user: User) -> None:
    user.run("start", "-c", str(user.profile("hello", PROFILE)))
    script = (
        "trap '' TERM; setsid sleep 1001 & (setsid sh -c 'sleep 1002 & sleep 1003' &) ; "
        "sh -c \"trap '' TERM; sleep 1004\" & while :; do sleep 1005; done"
    )
    user.run("exec", "main", "--timeout", "1s", "-c", script, code=6)
    container = user.session()["container"]

    def sleepers() -> list[str]:
        top = subprocess.run(
            ["docker", "top", container, "-eo", "pid,args"],
            capture_output=True,
            text=True,
            check=True,
        )
        return [line for line in top.stdout.splitlines() if "sleep 100" in line]

    eventually_sync(lambda: sleepers() == [], within=2)


def test_an_engine_that_is_not_running_leaves_the_daemon_up_until_it_comes(user: User) -> None:
    user.env["DOCKER_HOST"] = f"unix://{user.home}/docker.sock"
    user.run("start", "--no-wait", "-c", str(user.profile("hello", PROFILE)))
    assert user.curl("/v1/info")["engine"]["state"] == "down"
    assert str(user.home / "docker.sock") in user.text("status")
    user.run("exec", "main", "--", "true", code=69)
    (user.home / "docker.sock").symlink_to("/var/run/docker.sock")
    user.wait_for_state("ready")
    assert user.text("exec", "main", "--", "echo", "healed") == "healed\n"


def test_a_missing_image_is_named_and_mended_by_editing_the_file(user: User) -> None:
    user.run(
        "start",
        "--no-wait",
        "-c",
        str(user.profile("hello", 'image = "deepd-test/no-such-image:1"\n')),
    )
    failed = user.wait_for_state("failed", within=60)
    assert "deepd-test/no-such-image:1" in failed["cause"]
    user.profile("hello", PROFILE)
    user.wait_for_state("ready")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('image = "a"\nidle_timout = "5m"\n', "did you mean `idle_timeout`"),
        ("image = 3\n", "hello.toml:1:9"),
        ("image = \n", "hello.toml:1:"),
    ],
)
def test_a_bad_profile_stops_the_start_and_says_where(user: User, text: str, said: str) -> None:
    done = user.run("start", "-c", str(user.profile("hello", text)), code=78)
    assert said in done.stderr.decode()


def test_a_second_daemon_on_the_same_state_folder_is_refused(user: User) -> None:
    path = str(user.profile("hello", PROFILE))
    user.run("start", "-c", path)
    pid = str(user.daemon_pid())
    assert pid in user.run("start", "-c", path, code=8).stderr.decode()
    elsewhere = User(user.home, user.env | {"DEEPD_RUNTIME_DIR": f"{user.home}/run2"})
    assert pid in elsewhere.run("run", "-c", path, code=8).stderr.decode()


def test_a_socket_path_that_is_too_long_is_refused_with_what_to_do(user: User) -> None:
    user.env["DEEPD_RUNTIME_DIR"] = f"{user.home}/{'x' * 100}"
    done = user.run("run", "-c", str(user.profile("hello", PROFILE)), code=None)
    assert done.returncode != 0
    assert "107" in done.stderr.decode()
    assert "DEEPD_RUNTIME_DIR" in done.stderr.decode()


def test_reading_a_folder_as_a_file_says_that_it_is_one(user: User) -> None:
    user.run("start", "-c", str(user.profile("hello", PROFILE)))
    reply = user.curl("/v1/sessions/main/files?path=/workspace")
    assert reply["type"] == "file"
    assert "/workspace" in reply["detail"]
    assert json.dumps(reply)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_admits_nothing_loses_nothing_and_heals_by_itself(user: User) -> None:
    state = Path(user.env["DEEPD_STATE_DIR"])
    state.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "none", state], check=True)
    try:
        text = PROFILE + "[interrupt_on]\nwrite_file = true\nexecute = false\n"
        user.run("start", "-c", str(user.profile("hello", text)))
        user.wait_for_state("ready")
        held = user.curl(
            "/v1/sessions/main/calls",
            {"tool": "write_file", "args": {"path": "held", "content": "y"}, "background": True},
        )["id"]
        filler = state / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        done = user.run("exec", "main", "--", "touch", "ran", code=None)
        assert done.returncode != 0
        assert b"no space" in done.stderr
        assert user.run("approve", held, code=None).returncode != 0
        assert user.session()["held"] == 1
        filler.unlink()
        assert user.text("exec", "main", "--", "sh", "-c", "ls ran held 2>/dev/null | wc -l") == (
            "0\n"
        )
        user.run("approve", held)
        eventually_sync(lambda: user.curl(f"/v1/calls/{held}")["state"] == "finished")
        user.run("stop")
    finally:
        user.run("stop", code=None)
        subprocess.run(["umount", state], check=True)
