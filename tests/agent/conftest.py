"""A daemon for the tests of a module, with a profile and sandboxes of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import User, somebody

PROFILE = """\
image = "deepd-test/python:3.11"
idle_timeout = "1h"
sessions = []
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[User]:
    """Return somebody whose daemon runs on the profile `open`, which holds nothing."""
    with somebody() as user:
        user.run("start", "-c", str(user.profile("open", PROFILE)))
        yield user
