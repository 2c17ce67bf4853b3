"""The guest by itself, plain and with sanitizers, driven without any of deepd's own wire code."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deepd.guest.binary import guest_binary, sources
from tests.guest.driver import Driver, start

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


@pytest.fixture
def guest(start_guest: StartGuest) -> Driver:
    """Return a guest that has been greeted."""
    driver = start_guest()
    driver.hello()
    return driver
