"""A daemon for the tests of a module, with a profile and sandboxes of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import User, somebody
from tests.e2e.engines import ENGINES, choose_engine

PROFILE = """\
idle_timeout = "1h"
sessions = []
"""


@pytest.fixture(scope="module", params=ENGINES)
def any_daemon(request: pytest.FixtureRequest) -> Iterator[User]:
    """Return somebody whose daemon makes the sandboxes of the profile `open` on each engine."""
    yield from _daemon(request, request.param)


@pytest.fixture(scope="module")
def daemon(request: pytest.FixtureRequest) -> Iterator[User]:
    """Return somebody whose daemon runs on the profile `open`, which holds nothing."""
    yield from _daemon(request, "docker")


def _daemon(request: pytest.FixtureRequest, engine: str) -> Iterator[User]:
    with somebody() as user:
        text = PROFILE + choose_engine(request, engine, user)
        user.run("start", "-c", str(user.profile("open", text)))
        yield user
