"""What every test may ask for."""

from __future__ import annotations

import asyncio
import functools
import os
import secrets
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("deepd", deadline=None, print_blob=True)
settings.load_profile("deepd")  # how long an example may take is no obligation of these tests

REQUIRE = "DEEPD_TEST_REQUIRE_DOCKER"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return what `-n auto` means here: most tests wait for engines, guests and daemons."""
    return 2 * (os.cpu_count() or 1)


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
    """Skip what needs an engine where none answers, with the reason; fail where it must not."""
    if item.get_closest_marker("docker") is None:
        return
    trouble = _engine_trouble()
    if trouble and os.environ.get(REQUIRE, "") not in {"", "0"}:
        pytest.fail(f"{REQUIRE} is set, and {trouble}", pytrace=False)
    if trouble:
        pytest.skip(trouble)


@functools.cache
def _engine_trouble() -> str:
    """Return why tests on a real engine cannot run here; empty when they can."""
    from deepd.engine.endpoint import find_endpoint
    from deepd.engine.http import request
    from deepd.errors import EngineError
    from tests.images import missing_images

    try:
        asyncio.run(request(find_endpoint(), "GET", "/_ping", within=5))
    except EngineError as error:
        return str(error)
    if missing := missing_images():
        return f"the engine lacks {', '.join(missing)}: run `python -m tests.images`"
    return ""
