"""The guest as PID 1 of real containers: few capabilities, read-only roots, bare images, bombs."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deepd.guest.binary import guest_binary
from tests.guest.driver import (
    KILLED,
    LIST,
    NOT_STARTED,
    PTY,
    READ,
    TIMED_OUT,
    WRITE,
    Driver,
    parse_record,
    start,
)
from tests.images import BUSYBOX, EMPTY, PYTHON

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(shutil.which("docker") is None, reason="there is no docker command"),
]
CAPS = ["--cap-drop", "ALL", *(f"--cap-add={name}" for name in ("SETUID", "SETGID", "KILL"))]
HARD = [*CAPS, "--security-opt", "no-new-privileges", "--pids-limit", "256", "--network", "none"]
PIDS = "tr -d '\\0' < /proc/1/comm >/dev/null; ls /proc | grep -c '^[0-9]'"
BOMB = "b() { b | b & }; b; sleep 300"
SETSID_BOMB = """import os
while True:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        pass
"""

Run = Callable[..., Driver]


@pytest.fixture
def shared() -> Iterator[Path]:
    """Return a folder that the engine can mount; its owner is set by each test."""
    folder = Path(tempfile.mkdtemp(prefix="deepd-guest-", dir="/var/tmp"))
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=False)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Return a function that starts a container whose PID 1 is the guest, and greets it."""
    names: list[str] = []
    drivers: list[Driver] = []
    program = tmp_path / "guest"
    shutil.copy(guest_binary(), program)

    def run_one(image: str, *options: str, user: str = "workspace", work: str = "/work") -> Driver:
        names.append(f"deepd-guest-test-{secrets.token_hex(6)}")
        command = ["docker", "run", "-i", "--name", names[-1], "--log-driver", "none"]
        command += ["-v", f"{program}:/.deepd/guest:ro", "--entrypoint", "/.deepd/guest"]
        command += [*options, image, "--work-dir", work, "--user", user, "--shell", "auto"]
        driver = start(command)
        drivers.append(driver)
        driver.hello()
        return driver

    yield run_one
    subprocess.run(["docker", "rm", "-f", *names], check=False, capture_output=True)
    for driver in drivers:
        driver.close()


def warnings(guest: Driver) -> list[str]:
    """Return what WELCOME warns of."""
    return [value.decode() for tag, value in guest.welcome if tag == 8]


def text(guest: Driver, command: str, **values: int) -> str:
    """Run a command and return what it printed."""
    call = guest.run(command, **values)
    assert call.code == 0, (call.note, bytes(call.stderr))
    return bytes(call.stdout).decode().strip()


def owned(folder: Path, uid: int) -> Path:
    """Give a folder to a user."""
    if os.getuid() != 0 and uid != os.getuid():
        pytest.skip("only root can give a folder away")
    os.chown(folder, uid, uid)
    return folder


def test_commands_run_as_an_ordinary_user_who_can_work(run: Run) -> None:
    guest = run(PYTHON, *HARD)
    assert warnings(guest) == []
    assert text(guest, "id -u; id -g; id -G").split() == ["1000", "1000", "1000"]
    assert text(guest, "pwd; stat -c %u:%a .").split() == ["/work", "1000:755"]
    assert text(guest, "touch /test.py && stat -c %u:%a / /test.py").split() == [
        "0:1777",
        "1000:644",
    ]
    assert text(guest, "echo x > $HOME/file && echo $HOME") == "/home/sandbox"
    assert text(guest, "stat -c %a /home") == "755"
    assert text(guest, "python3 -m venv --without-pip $HOME/venv && echo made") == "made"
    status = text(guest, "grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status")
    assert {line.split()[1].strip("0") for line in status.splitlines() if "Cap" in line[:3]} == {
        ""
    } | {line.split()[1].strip("0") for line in status.splitlines() if line.startswith("CapBnd")}
    assert "NoNewPrivs:\t1" in status


def test_commands_cannot_touch_pid_1(run: Run) -> None:
    guest = run(BUSYBOX, *HARD)
    call = guest.run(
        "kill -9 1; kill -TERM 1; kill -9 $PPID; ls /proc/1/fd; cat /proc/1/environ; true"
    )
    assert call.how == 1
    assert not call.stdout
    assert text(guest, "echo on") == "on"


def test_even_root_cannot_end_the_guest_from_inside(run: Run) -> None:
    guest = run(BUSYBOX, *HARD, user="root")
    assert text(guest, "id -u; grep CapEff /proc/self/status").split() == [
        "0", "CapEff:", "0000000000000000",
    ]  # fmt: skip
    guest.run("kill -9 1; kill -TERM 1; kill -INT 1; kill -HUP 1; sleep 0.2")
    call = guest.run("cat /proc/1/environ /proc/1/maps; readlink /proc/1/fd/1; echo > /proc/1/fd/1")
    assert call.code == 1
    assert not call.stdout
    assert text(guest, "echo on") == "on"


def test_root_that_kills_its_shim_is_ended_with_all_it_started(run: Run) -> None:
    guest = run(BUSYBOX, *HARD, user="root")
    before = text(guest, PIDS)
    call = guest.run("setsid sleep 300 & (setsid sleep 300 &) ; kill -9 $PPID; sleep 300")
    assert "watched" in call.note
    guest.until(lambda: text(guest, PIDS) == before)  # the last shim may just be leaving


def test_a_mounted_folder_names_the_user(run: Run, shared: Path) -> None:
    guest = run(PYTHON, *HARD, "-v", f"{owned(shared, 1000)}:/work")
    assert text(guest, "id -u; touch made; stat -c %u made").split() == ["1000", "1000"]
    assert warnings(guest) == []
    other = run(PYTHON, *HARD, "-v", f"{owned(shared, 4321)}:/work")
    assert text(other, "id -u; touch mine; stat -c %u mine").split() == ["4321", "4321"]


def test_a_folder_of_root_means_root_without_capabilities_and_says_so(
    run: Run, shared: Path
) -> None:
    guest = run(PYTHON, *HARD, "-v", f"{owned(shared, 0)}:/work")
    assert text(guest, "id -u; grep CapEff /proc/self/status").split()[::2] == [
        "0",
        "0000000000000000",
    ]
    assert any("root" in warning for warning in warnings(guest))
    assert shared.stat().st_mode & 0o777 == 0o700


def test_a_mounted_folder_that_the_user_cannot_write_is_left_alone_and_told(
    run: Run, shared: Path
) -> None:
    shared.chmod(0o755)
    guest = run(PYTHON, *HARD, "-v", f"{owned(shared, 0)}:/work", user="1000:1000")
    assert any("cannot write" in warning for warning in warnings(guest))
    assert shared.stat().st_mode & 0o777 == 0o755
    call = guest.file(WRITE, "file", b"x", size=1)
    assert call.errno == 13


def test_a_read_only_root_is_fine(run: Run, shared: Path) -> None:
    options = [*HARD, "--read-only", "--tmpfs", "/tmp", "-v", f"{owned(shared, 1000)}:/work"]
    guest = run(PYTHON, *options)
    assert text(guest, "echo $HOME; touch $HOME/x ./y && echo ok").split() == ["/tmp", "ok"]
    bare = run(PYTHON, *HARD, "--read-only")
    assert any("/work" in warning for warning in warnings(bare))
    assert bare.run("echo x", cwd="/").code == 0


def test_a_container_of_an_ordinary_user_without_any_capability(run: Run, shared: Path) -> None:
    options = ["--cap-drop", "ALL", "--user", "1000:1000", "-v", f"{owned(shared, 1000)}:/work"]
    guest = run(PYTHON, *options)
    assert warnings(guest) == []
    assert text(guest, "id -u; touch x && sleep 300 & echo ok").split()[-1] == "ok"
    call = guest.shell("trap '' TERM; setsid sleep 300 & sleep 300", timeout=200, grace=50)
    assert guest.end(call).how == TIMED_OUT
    other = run(PYTHON, "--cap-drop", "ALL", "--user", "1000:1000", user="2000:2000")
    assert any("2000" in warning for warning in warnings(other))
    assert text(other, "id -u", cwd=b"/") == "1000"  # type: ignore[arg-type]


def test_an_image_with_nothing_in_it(run: Run) -> None:
    guest = run(EMPTY, *HARD)
    assert dict(guest.welcome)[7] == b""
    call = guest.run("echo no")
    assert (call.how, call.code) == (NOT_STARTED, 127)
    assert "no shell" in call.note
    version = guest.end(guest.open("/.deepd/guest", "--nonsense"))
    assert (version.how, version.code) == (1, 2)
    assert guest.file(WRITE, "file", b"text", size=4).code == 0
    data = bytes(guest.file(READ, "/work/file").stdout)
    entry, at = parse_record(data)
    assert (entry.uid, data[at:]) == (1000, b"text")
    assert guest.file(LIST, "/").code == 0


def test_a_terminal_belongs_to_the_user(run: Run) -> None:
    guest = run(PYTHON, *HARD)
    call = guest.run("stat -c %u $(tty); echo x > $(tty); tty", flags=PTY)
    assert bytes(call.stdout).split()[:2] == [b"1000", b"x"]


@pytest.mark.parametrize("kind", ["shell", "setsid", "stubborn"])
@pytest.mark.parametrize("user", ["1000:1000", "root"])
def test_a_fork_bomb_is_gone_soon(run: Run, kind: str, user: str) -> None:
    guest = run(PYTHON, *HARD, user=user)
    before = text(guest, PIDS)
    if kind == "setsid":
        call = guest.open("python3", "-c", SETSID_BOMB)
    else:
        call = guest.shell(("trap '' TERM; " if kind == "stubborn" else "") + BOMB)
    guest.idle(1.0)
    guest.kill(call)
    guest.end(call, timeout=20)
    assert call.how == KILLED
    guest.until(lambda: text(guest, PIDS) == before)  # the last shim may just be leaving


def test_at_the_limit_of_processes_a_call_is_refused_with_the_reason(run: Run) -> None:
    guest = run(PYTHON, *HARD[:-4], "--pids-limit", "16", "--network", "none")
    calls = [guest.shell("sleep 300") for _ in range(10)]
    guest.wait(lambda: any(call.exit for call in calls))
    ended = [call for call in calls if call.exit]
    assert {(call.how, call.errno) for call in ended} == {(NOT_STARTED, 11)}
    for call in calls:
        guest.kill(call)
    for call in calls:
        guest.end(call)
    assert text(guest, "echo on") == "on"


def test_stop_is_quick_and_clean(run: Run) -> None:
    guest = run(PYTHON, *HARD)
    guest.shell("trap '' TERM; sleep 300; sleep 300")
    name = guest.process.args[4]  # type: ignore[index]
    subprocess.run(["docker", "stop", "-t", "20", str(name)], check=True, capture_output=True)
    state = ["docker", "inspect", "-f", "{{.State.ExitCode}}", str(name)]
    assert subprocess.run(state, check=True, capture_output=True).stdout.strip() == b"0"


def test_pid_1_outlives_its_owner(run: Run) -> None:
    guest = run(PYTHON, *HARD)
    assert guest.process.stdin is not None
    guest.process.stdin.close()
    guest.process.kill()
    name = str(guest.process.args[4])  # type: ignore[index]
    stat = ["docker", "exec", name, "cat", "/proc/1/stat"]
    first = subprocess.run(stat, check=True, capture_output=True).stdout.split()[13:15]
    guest.process.wait(10)
    last = subprocess.run(stat, check=True, capture_output=True).stdout.split()[13:15]
    assert sum(map(int, last)) - sum(map(int, first)) < 20  # it does not spin
