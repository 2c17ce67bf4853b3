"""What every test may ask for."""

from __future__ import annotations

import asyncio
import functools
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.podman import PodmanService

settings.register_profile("deepd", deadline=None, print_blob=True)
settings.load_profile("deepd")  # how long an example may take is no obligation of these tests

REQUIRE = "DEEPD_TEST_REQUIRE"
"""Names the engines whose tests must run: what they lack is then a failure and not a skip."""


def pytest_configure() -> None:
    """Let what tests start hear an interrupt, which a shell has its background jobs ignore."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return what `-n auto` means here: most tests wait for engines, guests and daemons."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that no process works on one of them alone."""
    items.sort(key=lambda item: "tests/faults/" not in item.nodeid)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Have what a test measured printed at the end of the run, from whichever process."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have measured."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    told = [
        (report.nodeid.rpartition("::")[2], value)
        for report in reports
        for name, value in report.user_properties
        if name == "figure"
    ]
    if told:
        terminalreporter.section("figures")
    for test, text in told:
        terminalreporter.write_line(f"{test}\n    {text}")


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio only: the daemon is built on it."""
    return "asyncio"


@pytest.fixture
def instance(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return an instance's id that nobody has; what it leaves on the engine is removed."""
    name = secrets.token_hex(4)
    yield name
    if request.node.get_closest_marker("docker") is not None:
        from tests.leftover import remove_leftovers

        remove_leftovers(name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what needs an engine where none answers, with the reason."""
    if item.get_closest_marker("docker") is not None:
        need("docker", engine_trouble())


def need(engine: str, trouble: str) -> None:
    """Skip a test for what its engine lacks; fail where that engine is required."""
    if trouble and engine in os.environ.get(REQUIRE, "").replace(",", " ").split():
        pytest.fail(f"{REQUIRE} names {engine}, and {trouble}", pytrace=False)
    if trouble:
        pytest.skip(trouble)


def _podman(name: str, *, rootless: bool) -> Iterator[PodmanService]:
    from tests.podman import PodmanService, missing

    need(name, missing(rootless=rootless) or engine_trouble())
    service = PodmanService(rootless=rootless)
    try:
        service.set_up()
        yield service
    finally:
        service.clean_up()


@pytest.fixture(scope="session")
def podman() -> Iterator[PodmanService]:
    """Return root's podman; its images come from the docker engine of the tests."""
    yield from _podman("podman", rootless=False)


@pytest.fixture(scope="session")
def rootless_podman() -> Iterator[PodmanService]:
    """Return an ordinary user's podman."""
    yield from _podman("podman-rootless", rootless=True)


@functools.cache
def engine_trouble() -> str:
    """Return why tests on a real engine cannot run here; empty when they can."""
    from deepd.engine.endpoint import find_endpoint
    from deepd.engine.http import request
    from deepd.errors import EngineError
    from tests.images import missing_images

    def ping() -> None:
        asyncio.run(request(find_endpoint(), "GET", "/_ping", within=5))

    try:
        with ThreadPoolExecutor() as threads:  # whoever asks may be in a loop of its own
            threads.submit(ping).result()
    except EngineError as error:
        return str(error)
    if missing := missing_images():
        return f"the engine lacks {', '.join(missing)}: run `python -m tests.images`"
    return ""
