"""LocalBackend: this machine itself, with file operations kept to some folders."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepd import AsyncLocalBackend, BackendProtocol, LocalBackend, SandboxProtocol, SandboxStopped
from deepd.errors import FileError, ForbiddenError
from tests.eventually import eventually_sync


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    """Return a backend over a folder that is made for it, with another one allowed."""
    (tmp_path / "shared").mkdir()
    made = LocalBackend(tmp_path / "work", allowed_directories=[str(tmp_path / "shared")])
    yield made
    made.stop()


def test_commands_run_as_the_caller_in_the_root_folder(
    backend: LocalBackend, tmp_path: Path
) -> None:
    done = backend.execute("pwd; id -u; echo err >&2; exit 3")
    assert done.output.split() == [os.path.realpath(tmp_path / "work"), str(os.geteuid()), "err"]
    assert (done.stderr, done.exit_code) == ("err\n", 3)


def test_commands_have_no_capabilities_and_can_gain_none(
    backend: LocalBackend, tmp_path: Path
) -> None:
    status = backend.execute("cat /proc/self/status").output
    found = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    assert found["NoNewPrivs"] == "1"
    assert {int(found[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {0}
    for command in (
        f"mount -t tmpfs none {tmp_path}",
        "chroot / true",
        "mknod disk b 254 0",
        'hostname "$(hostname)"',
    ):
        assert backend.execute(command).exit_code != 0, command


def test_files_are_this_machine_s(backend: LocalBackend, tmp_path: Path) -> None:
    assert backend.write("deep/a.py", "x = 1\n").error is None
    assert (tmp_path / "work" / "deep" / "a.py").read_text() == "x = 1\n"
    assert backend.edit("deep/a.py", "1", "2").occurrences == 1
    assert backend.read(str(tmp_path / "work" / "deep" / "a.py")) == "x = 2\n"
    assert [info.name for info in backend.ls_info("deep")] == ["a.py"]
    assert [info.name for info in backend.glob_info("**/*.py")] == ["a.py"]
    assert [info.size for info in backend.glob_info("deep/a.py")] == [6]
    found = backend.grep_raw("x =", glob="*.py")
    assert isinstance(found, list)
    assert found[0].line == "x = 2"
    assert backend.exists("deep")
    assert not backend.exists("nowhere")


def test_allowed_directories_can_be_used(backend: LocalBackend, tmp_path: Path) -> None:
    assert backend.write(str(tmp_path / "shared" / "file"), "mine").error is None
    assert (tmp_path / "shared" / "file").read_text() == "mine"
    assert backend.read("../shared/file") == "mine"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../outside", "link/secret", "secret-link", "a/../../outside"]
)
def test_nothing_outside_is_touched_whatever_links_lead_there(
    backend: LocalBackend, tmp_path: Path, path: str
) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    work.mkdir()
    outside.write_text("secret")
    (tmp_path / "secret").write_text("secret")
    (work / "link").symlink_to(tmp_path)
    (work / "secret-link").symlink_to(outside)
    said = "leads outside of"
    assert said in backend.read(path)
    assert said in str(backend.write(path, "x").error)
    assert said in str(backend.edit(path, "secret", "x").error)
    assert said in str(backend.grep_raw("secret", path))
    for look in (backend.ls_info, backend.read_bytes, backend.exists):
        with pytest.raises(FileError, match=said):
            look(path)
    assert outside.read_text() == "secret"


@pytest.mark.parametrize("pattern", ["../*", "/etc/*", "link/*", "../outside"])
def test_a_glob_does_not_lead_outside(backend: LocalBackend, tmp_path: Path, pattern: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "work" / "link").symlink_to(tmp_path)
    with pytest.raises(FileError, match="leads outside of"):
        backend.glob_info(pattern)


def test_a_search_does_not_follow_links_outside(backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "work" / "link").symlink_to(tmp_path / "outside")
    assert backend.grep_raw("secret") == []


def test_a_timeout_ends_what_was_started(backend: LocalBackend, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        backend.execute("setsid sleep 300 & echo $! > pid; trap '' TERM; sleep 300", timeout=0.5)
    assert time.monotonic() - began < 5
    pid = (tmp_path / "work" / "pid").read_text().strip()
    eventually_sync(lambda: not Path(f"/proc/{pid}/exe").exists())


def test_commands_can_be_forbidden(tmp_path: Path) -> None:
    with LocalBackend(tmp_path, enable_execute=False) as backend:
        assert not backend.execute_enabled
        with pytest.raises(ForbiddenError, match="runs no commands"):
            backend.execute("true")
        assert backend.write("file", "x").error is None


def test_what_was_stopped_stays_so_and_takes_its_commands_with_it(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path, sandbox_id="mine")
    assert backend.id == "mine"
    backend.execute("sleep 300 & echo $! > pid")
    assert backend.is_alive()
    backend.stop()
    backend.stop()
    assert not backend.is_alive()
    pid = (tmp_path / "pid").read_text().strip()
    eventually_sync(lambda: not Path(f"/proc/{pid}/exe").exists())
    with pytest.raises(SandboxStopped):
        backend.read("pid")


def test_a_backend_whose_helper_died_goes_on(backend: LocalBackend) -> None:
    backend.write("file", "still here")
    process = backend._twin._process
    assert process is not None
    os.kill(process.pid, 9)
    eventually_sync(lambda: not backend.is_alive())
    assert backend.read("file") == "still here"


async def test_the_asyncio_twin_is_the_same(tmp_path: Path) -> None:
    async with AsyncLocalBackend(tmp_path) as backend:
        assert (await backend.execute("echo hi")).output == "hi\n"
        assert (await backend.write("a", "b")).error is None
    assert (tmp_path / "a").read_text() == "b"


def test_backends_are_what_the_protocols_say(backend: LocalBackend) -> None:
    assert isinstance(backend, SandboxProtocol)
    assert isinstance(backend, BackendProtocol)
    assert not isinstance(object(), BackendProtocol)
