"""What a hostile command tries against its sandbox, the daemon and the other sessions."""

from __future__ import annotations

import re
import stat
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deepd.client.sync import Client
from deepd.errors import DeepdError
from tests.e2e.conftest import User, somebody
from tests.eventually import eventually_sync
from tests.figures import Figure

pytestmark = pytest.mark.docker

PROFILE = """\
image = "deepd-test/python:3.11"
idle_timeout = "1h"
sessions = ["main", "other"]
[limits]
pids = 64
cpus = 0.5
memory = "64MiB"
output_kill = "20GiB"
"""
RACES = 400
PIDS, MEMORY = 64, 64 << 20
GROWTH = 32 << 20
"""What the daemon may grow by, however much a command prints."""

BOMB = "import os\nwhile True:\n try: os.fork()\n except OSError: pass"
TREES = {
    "setsid": "setsid sleep 7001 & setsid setsid sleep 7002 & sleep 7003",
    "double fork": (
        "(sh -c 'sleep 7004 & sleep 7005 &' &); (setsid sh -c 'sleep 7006 &' &); sleep 7015"
    ),
    "env -i": "env -i /bin/sh -c 'setsid /bin/sleep 7007 & exec /bin/sleep 7008'",
    "trap": (
        "trap '' TERM INT HUP; sh -c \"trap '' TERM; sleep 7009\" & while :; do sleep 7010; done"
    ),
    "new names": "cp /bin/sleep s; (exec -a init ./s 7011) & (exec -a '[kworker]' ./s 7012) & wait",
    "stopped": "sleep 7013 & kill -STOP $!; setsid sh -c 'kill -STOP $$' & wait",
    "shell bomb": "b() { b | b & }; b; sleep 7014",
    "fork bomb": f'exec setsid -w python3 -c "{BOMB}"',
}


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """One user for all: each test must leave the sandbox as good as it was."""
    with somebody() as one:
        one.run("start", "-c", str(one.profile("hello", PROFILE)))
        one.wait_for_state("ready")
        yield one


def processes(user: User) -> list[str]:
    """Return what runs in the sandbox beside its first process, as the host sees it."""
    container = user.session()["container"]
    top = ["docker", "top", container, "-eo", "pid,stat,args"]
    done = subprocess.run(top, capture_output=True, text=True, check=True, timeout=60)
    return [line for line in done.stdout.splitlines()[1:] if "/.deepd/guest" not in line]


def resident(user: User) -> int:
    status = Path(f"/proc/{user.daemon_pid()}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) << 10


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
def test_nothing_of_a_hostile_tree_is_alive_two_seconds_after_its_timeout(
    user: User, tree: str
) -> None:
    before = user.session()["container"]
    call = user.text("exec", "main", "-d", "--timeout", "0.7s", "-c", tree).strip()
    began = time.monotonic()
    user.run("wait", call, code=6, within=20)
    eventually_sync(
        lambda: processes(user) == [], within=max(0.5, 0.7 + 2 - time.monotonic() + began)
    )
    assert user.text("exec", "main", "--", "echo", "fine") == "fine\n"
    assert user.session()["container"] == before


def test_a_fork_bomb_stops_at_the_limit_and_other_sessions_notice_nothing(user: User) -> None:
    user.wait_for_state("ready", "other")
    call = user.text("exec", "main", "-d", "--timeout", "30s", "--", "python3", "-c", BOMB).strip()
    try:
        eventually_sync(lambda: len(processes(user)) >= PIDS - 16)
        assert len(processes(user)) <= PIDS
        began = time.monotonic()
        assert user.text("exec", "other", "--", "echo", "fine") == "fine\n"
        assert time.monotonic() - began < 5
    finally:
        user.run("kill", call)
        eventually_sync(lambda: processes(user) == [])


def test_memory_ends_at_the_limit_with_no_swap_beside_it(user: User) -> None:
    grow = (
        "import time\nx=[]\nfor i in range(1000): x.append(b'x' * (1 << 20)); print(i, flush=True)"
    )
    done = user.run("exec", "main", "--", "python3", "-c", grow, code=137)
    assert int(done.stdout.split()[-1]) << 20 < MEMORY


def flood(user: User, size: int) -> str:
    """Have a command print so much, and return the figures after checking them."""
    user.run("exec", "main", "--", "true")
    before = most = resident(user)
    began = time.monotonic()
    call = user.text("exec", "main", "-d", "--", "head", "-c", str(size), "/dev/zero").strip()
    while (found := user.curl(f"/v1/calls/{call}"))["state"] in {"sent", "running"}:
        most = max(most, resident(user))
    took = time.monotonic() - began
    assert (found["state"], found["exit_code"]) == ("finished", 0)
    assert found["output_size"] == size
    assert found["truncated"]
    assert most - before < GROWTH, f"the daemon grew by {most - before} bytes"
    speed = (size >> 20) / took
    return f"{size >> 20} MiB of output at {speed:.0f} MiB/s; grew by {(most - before) >> 10} KiB"


def test_a_gibibyte_of_output_does_not_grow_the_daemon(user: User, figure: Figure) -> None:
    figure(flood(user, 1 << 30))


@pytest.mark.slow
def test_ten_gibibytes_of_output_do_not_grow_the_daemon(user: User, figure: Figure) -> None:
    figure(flood(user, 10 << 30))


def test_a_sandbox_reaches_no_network_by_default(user: User) -> None:
    reach = (
        "import socket\n"
        "for place in [('169.254.169.254', 80), ('172.17.0.1', 22), ('8.8.8.8', 53)]:\n"
        "  try: socket.create_connection(place, 1)\n"
        "  except OSError as error: print(error.strerror)\n"
        "print(sorted(name for _, name in socket.if_nameindex()))\n"
    )
    said = user.text("exec", "main", "--", "python3", "-c", reach).splitlines()
    assert said[:3] == ["Network is unreachable"] * 3
    assert "'lo'" in said[3]
    assert "eth" not in said[3]


def test_the_sockets_of_daemon_and_engine_are_not_in_the_sandbox(user: User) -> None:
    find = "find / -xdev -type s 2>/dev/null; ls /run/docker.sock /var/run/docker.sock 2>/dev/null"
    assert user.text("exec", "main", "-c", find, code=None).split() == []


def test_links_that_are_swapped_while_they_are_read_never_lead_out(
    user: User, tmp_path: Path
) -> None:
    outside = tmp_path / "secret"
    outside.write_text("of the host")
    user.run("exec", "main", "-c", "echo inside > good; mkdir -p real; echo inside > real/f")
    swap = (
        f"while :; do ln -sfn {outside} link; ln -sfn good link;"
        f" ln -sfn {tmp_path} folder; ln -sfn real folder; ln -sfn /proc/1 folder; done"
    )
    call = user.text("exec", "main", "-d", "-c", swap).strip()
    client = Client(f"{user.env['DEEPD_RUNTIME_DIR']}/deepd.sock")
    seen: Counter[str] = Counter()
    try:
        for turn in range(RACES):
            path = ("link", "folder/secret", "folder/f", "folder/environ")[turn % 4]
            try:
                seen[client.read("main", path).decode()] += 1
            except DeepdError:
                seen["refused"] += 1
            with suppress(DeepdError):
                client.write("main", f"folder/made{turn}", b"by us")
    finally:
        client.close()
        user.run("kill", call)
    assert set(seen) <= {"inside\n", "refused"}, seen
    assert seen["inside\n"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_what_a_command_leaves_in_its_workspace_gives_nobody_more(user: User) -> None:
    leave = "cp /bin/sh s; chmod 6777 s; chown 0:0 s; mknod d c 1 3; mkfifo p; ln -s /etc/passwd l"
    user.run("exec", "main", "-c", leave, code=None)
    found = list(workspace(user).rglob("*"))
    assert {path.name for path in found} >= {"s", "p", "l"}
    for path in found:
        seen = path.lstat()
        assert not stat.S_ISBLK(seen.st_mode), path
        assert not stat.S_ISCHR(seen.st_mode), path
        assert seen.st_uid == 1000, f"{path} is of user {seen.st_uid}, with its setuid bit or not"
        assert seen.st_gid == 1000, path


def workspace(user: User) -> Path:
    """Return where the session's files are on this machine."""
    container = user.session()["container"]
    show = ["docker", "inspect", "-f", "{{range .Mounts}}{{.Destination}}={{.Source}}\n{{end}}"]
    done = subprocess.run([*show, container], capture_output=True, text=True, check=True)
    places = dict(line.split("=", 1) for line in done.stdout.split("\n") if line)
    return Path(places["/workspace"])


def test_a_command_has_no_privilege_to_lose(user: User) -> None:
    text = user.text(
        "exec", "main", "-c", "id -u; grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status"
    )
    uid, *fields = text.splitlines()
    status = dict(field.split(":\t") for field in fields)
    assert uid == "1000"
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
