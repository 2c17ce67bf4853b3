"""The guest by itself, plain and with sanitizers, driven without any of deepd's own wire code."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepd.guest.binary import guest_binary, sources
from tests.guest.driver import LANE, LANED, Driver, Frame, one_field, start

SANITIZE = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

StartGuest = Callable[..., Driver]


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the guest with the address and undefined-behaviour sanitizers."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed: no sanitizers")
    made = tmp_path_factory.mktemp("sanitized") / "guest"
    units = [str(path) for path in sources() if path.suffix == ".c"]
    subprocess.run(["gcc", *SANITIZE, "-o", str(made), *units], check=True, timeout=300)
    made.chmod(0o755)
    return made


@pytest.fixture(scope="session", params=["plain", "sanitized"])
def program(request: pytest.FixtureRequest) -> Path:
    """Return the guest's program."""
    if request.param == "plain":
        return guest_binary()
    made = request.getfixturevalue("sanitized")
    assert isinstance(made, Path)
    return made


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """Return a folder that every user can reach and write to."""
    folder = Path(tempfile.mkdtemp(prefix="deepd-guest-"))
    folder.chmod(0o777)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=False)


@pytest.fixture
def work_dir(open_dir: Path) -> Path:
    """Return the work dir."""
    folder = open_dir / "work"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def start_guest(program: Path, work_dir: Path, open_dir: Path) -> Iterator[StartGuest]:
    """Return a function that starts a guest; a sanitizer's report fails the test."""
    started: list[Driver] = []
    reports = open_dir / "reports"
    reports.mkdir()
    reports.chmod(0o777)
    log = f"log_path={reports}/report"

    def start_one(*more: str, user: str = f"{os.getuid()}:{os.getgid()}") -> Driver:
        sanitizer = {"ASAN_OPTIONS": f"detect_leaks=0:{log}", "UBSAN_OPTIONS": log}
        argv = [str(program), "--work-dir", str(work_dir), "--user", user, "--shell", "auto"]
        driver = start([*argv, *more], env={**os.environ, **sanitizer})
        started.append(driver)
        return driver

    yield start_one
    for driver in started:
        driver.close()
    found = [path.read_text() for path in reports.iterdir()]
    assert not found, found[0]


class Host:
    """The owner's side of a lane's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_bytes(32)
        self.proof = b""
        """What the guest that came last has said of itself."""

    @contextmanager
    def listening(self, name: str = "meet", backlog: int = 8) -> Iterator[socket.socket]:
        """Listen, where every user may come."""
        path = self.folder / name
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            path.chmod(0o666)
            listener.listen(backlog)
            listener.settimeout(30)
            yield listener
        path.unlink()

    def ask(self, guest: Driver, name: str = "meet") -> int:
        """Offer the lane and return the errno that the guest answers."""
        seen = [frame for frame in guest.frames if frame.type == LANED]
        guest.send(LANE, one_field(1, name.encode()) + one_field(2, self.token))
        return self.answer(guest, len(seen))

    def answer(self, guest: Driver, seen: int = 0) -> int:
        """Wait for LANED."""

        def answers() -> list[Frame]:
            return [frame for frame in guest.frames if frame.type == LANED][seen:]

        guest.wait(answers)
        return int.from_bytes(answers()[0].payload, "little")

    @contextmanager
    def met(self, guest: Driver) -> Iterator[socket.socket]:
        """Have the guest come, and yield the connection."""
        with self.listening() as listener:
            assert self.ask(guest) == 0
            connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            self.proof = connection.recv(48)
            yield connection


@pytest.fixture
def host(open_dir: Path) -> Host:
    """Return a lane's folder; start the guest with `--lane`."""
    folder = open_dir / "lane"
    folder.mkdir()
    folder.chmod(0o755)
    return Host(folder)


@pytest.fixture
def guest(start_guest: StartGuest) -> Driver:
    """Return a guest that has been greeted."""
    driver = start_guest()
    driver.hello()
    return driver
