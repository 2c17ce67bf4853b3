"""What a local sandbox keeps its commands from: nothing of this machine is reached."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import signal
import socket
from pathlib import Path

import pytest

from deepd.errors import EngineError
from deepd.guest.connection import Guest
from deepd.guest.requests import Execute
from deepd.model.ids import new_call_id
from deepd.model.profile import Limits
from deepd.model.sandbox import SandboxState
from tests.engine.conftest import Place
from tests.eventually import eventually

TRACE = "import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(16, 1, 0, 0))"

_NUMBER = {"x86_64": 56, "aarch64": 220}.get(platform.machine(), -1)
CLONE = (
    f"import ctypes; ctypes.CDLL(None).syscall({_NUMBER}, 0x10000011, 0, 0, 0, 0) < 0 and exit(1)"
)
"""A child in a namespace of users of its own, without the C library."""


@pytest.fixture
async def guest(local_place: Place) -> Guest:
    """Return a sandbox's guest."""
    engine = local_place.engine()
    return await local_place.guest(engine, await local_place.run(engine))


async def attempt(guest: Guest, command: str) -> tuple[int, str]:
    """Run a command that may fail, and return its exit code and what it printed."""
    call_id = new_call_id()
    request = Execute((command,), shell=True, merge=True, timeout=20)
    call = await guest.open(call_id, request)
    printed = b""
    while (chunk := await call.read()) is not None:
        printed += chunk.data
        call.ack(chunk.offset + len(chunk.data))
    ended = await call.wait()
    guest.release(call_id)
    return ended.code, printed.decode(errors="replace")


@pytest.mark.parametrize("path", ["/usr", "/usr/bin", "/etc", "/opt", "/sys", "/proc/sys/kernel"])
async def test_the_system_cannot_be_written(guest: Guest, path: str) -> None:
    code, _ = await attempt(guest, f"touch {path}/deepd-was-here")
    assert code != 0
    assert not (Path(path) / "deepd-was-here").exists()


async def test_a_file_in_a_folder_of_its_own_is_not_one_of_this_machine(guest: Guest) -> None:
    name = f"deepd-escape-{os.getpid()}"
    _, printed = await attempt(guest, f"touch /tmp/{name} /run/{name} /{name} && echo made")
    assert printed == "made\n"
    assert not any((Path(folder) / name).exists() for folder in ("/tmp", "/run", "/"))


async def test_what_is_beside_the_workspace_cannot_be_seen(guest: Guest, folder: Path) -> None:
    (folder / "secret").write_text("secret")
    (folder / "main" / "secret").write_text("secret")
    for attempted in (f"cat {folder}/secret", "cat ../secret", f"ls {folder}"):
        code, printed = await attempt(guest, attempted)
        assert code != 0, printed


async def test_a_link_out_of_the_workspace_leads_nowhere(guest: Guest, folder: Path) -> None:
    (folder / "secret").write_text("secret")
    code, printed = await attempt(guest, f"ln -s {folder}/secret link && cat link")
    assert code != 0, printed


@pytest.mark.parametrize("home", ["/root", "/home", os.path.expanduser("~")])  # noqa: PTH111
async def test_no_home_of_this_machine_is_there(guest: Guest, home: str) -> None:
    _, printed = await attempt(guest, f"ls -A {home} 2>/dev/null")
    assert set(printed.split()) <= {"sandbox", "."}


async def test_the_sandboxes_of_the_engine_cannot_be_reached(
    guest: Guest, local_place: Place
) -> None:
    code, _ = await attempt(guest, f"ls {local_place.local}")
    assert code != 0


async def test_a_socket_of_this_machine_cannot_be_reached(guest: Guest, folder: Path) -> None:
    for address in (f"{folder}/sock", f"\0deepd-escape-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(address)
            listening.listen()
            program = (
                "import socket; s = socket.socket(socket.AF_UNIX);"
                f" s.connect({address.encode()!r}); print('through')"
            )
            code, printed = await attempt(guest, f'/usr/bin/python3 -c "{_quoted(program)}"')
        assert code != 0
        assert "Error" in printed


async def test_there_is_no_network(guest: Guest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
        code, printed = await attempt(guest, f'/usr/bin/python3 -c "{program}"')
        assert code != 0
        assert "refused" in printed
    code, _ = await attempt(guest, "grep -v lo: /proc/net/dev | grep :")
    assert code != 0


async def test_processes_of_this_machine_cannot_be_seen_or_signalled(guest: Guest) -> None:
    other = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        _, printed = await attempt(guest, "ls /proc | grep -c '^[0-9]'")
        assert int(printed) < 10
        await attempt(guest, f"kill -TERM {other.pid}; kill -TERM -1")
        assert other.returncode is None
    finally:
        other.kill()
    assert await other.wait() == -signal.SIGKILL


async def test_the_guest_cannot_be_signalled_read_or_traced(guest: Guest) -> None:
    for command in (
        "cat /proc/1/environ",
        "ls /proc/1/fd",
        "cat /proc/1/mem",
        "echo x > /proc/1/fd/1",
        f'/usr/bin/python3 -c "{TRACE}"',
    ):
        code, printed = await attempt(guest, command)
        assert code != 0, (command, printed)
    await attempt(guest, "kill -9 1; kill -TERM 1; kill -STOP 1")
    assert await attempt(guest, "echo alive") == (0, "alive\n")


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /mnt",
        "mount --bind /usr /workspace",
        "mount -o remount,rw /usr",
        "umount /usr",
        "umount -l /proc",
        "chroot / true",
        "mknod /tmp/disk b 254 0",
        "hostname other",
        "unshare -U true",
        "unshare -Urm mount -t tmpfs none /tmp",
        f"/usr/bin/python3 -c '{CLONE}'",
        "chown 0:0 .",
    ],
)
async def test_what_takes_privileges_fails(guest: Guest, command: str) -> None:
    code, printed = await attempt(guest, f"mkdir -p /mnt 2>/dev/null; {command}")
    assert code != 0, printed


async def test_setuid_programs_give_no_privileges(guest: Guest) -> None:
    _, printed = await attempt(guest, "grep -E 'NoNewPrivs|CapEff|CapPrm|CapBnd' /proc/self/status")
    found = dict(line.split(":\t") for line in printed.splitlines())
    assert found["NoNewPrivs"] == "1"
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 0
    await attempt(guest, "cp /bin/sh . && chmod 6755 sh")
    _, printed = await attempt(guest, "./sh -p -c id -u; su -c id 2>/dev/null </dev/null")
    assert "uid=0" not in printed


async def test_descriptors_of_the_engine_are_not_inherited(guest: Guest) -> None:
    _, printed = await attempt(guest, "ls -l /proc/self/fd")
    assert "boxes" not in printed
    assert "stdin" not in printed


async def test_a_fork_bomb_ends_at_the_limit(guest: Guest) -> None:
    program = (
        "import os, time\n"
        "made = 0\n"
        "try:\n"
        "    for made in range(400):\n"
        "        if os.fork() == 0: time.sleep(10); os._exit(0)\n"
        "except OSError: print('at most', made)\n"
    )
    _, printed = await attempt(guest, f"/usr/bin/python3 - <<'EOF'\n{program}EOF\n")
    assert printed.startswith("at most")


async def test_memory_over_the_limit_is_refused(guest: Guest) -> None:
    code, _ = await attempt(guest, "/usr/bin/python3 -c 'bytearray(600 << 20)'")
    assert code != 0


async def test_a_limit_above_this_machines_own_is_this_machines_own(local_place: Place) -> None:
    most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if most == resource.RLIM_INFINITY:
        pytest.skip("this machine does not limit how many processes a user has")
    engine = local_place.engine()
    limits = Limits(memory=256 << 20, pids=most + 1000)
    container = await local_place.run(engine, local_place.spec(limits=limits))
    guest = await local_place.guest(engine, container)
    _, printed = await attempt(guest, "grep -E 'processes|data' /proc/self/limits")
    given = {line[:25].strip(): line[25:].split()[1] for line in printed.splitlines()}
    assert given["Max data size"] == str(256 << 20)
    assert int(given["Max processes"]) >= most


async def test_nothing_runs_whose_limits_do_not_hold(
    local_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr("deepd.engine.local.limit", refuse)
    engine = local_place.engine()
    with pytest.raises(EngineError, match="cannot limit the sandbox: not here"):
        await local_place.run(engine)
    (sandbox,) = await engine.observe()
    assert sandbox.state is SandboxState.STOPPED


async def test_a_sandbox_that_is_stopped_leaves_no_process(local_place: Place) -> None:
    engine = local_place.engine()
    container = await local_place.run(engine)
    guest = await local_place.guest(engine, container)
    mark = f"9{os.getpid()}"
    await attempt(guest, f"setsid sleep {mark} >/dev/null 2>&1 & echo")
    await engine.stop(container)
    await eventually(lambda: not _runs("sleep", mark))


def _runs(*words: str) -> bool:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().split(b"\0")[:-1] == [*map(str.encode, words)]:
                return True
        except OSError:
            continue
    return False


def _quoted(program: str) -> str:
    return program.replace("\\", "\\\\\\\\")
