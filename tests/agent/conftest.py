"""A daemon for the tests of a module, with a profile and sandboxes of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import User, somebody
from tests.engine.conftest import level_of

PROFILE = """\
image = "deepd-test/python:3.11"
idle_timeout = "1h"
sessions = []
"""


LOCAL = """\
engine = "local"
idle_timeout = "1h"
sessions = []
"""
ENGINES = [pytest.param("docker", marks=pytest.mark.docker), "podman", "local", "local-guest"]
"""Where the same must hold for whoever uses a session; `local-guest` is without bubblewrap."""


@pytest.fixture(scope="module", params=ENGINES)
def any_daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[User]:
    """Return somebody whose daemon makes the sandboxes of the profile `open` on each engine."""
    text = LOCAL if request.param.startswith("local") else PROFILE
    with somebody() as user:
        if request.param == "podman":
            text += 'engine = "podman"\n'
            user.env["DEEPD_PODMAN_HOST"] = request.getfixturevalue("podman").host
        if request.param.startswith("local"):
            level_of(request.param)
        if request.param == "local-guest":
            user.env["PATH"] = str(tmp_path_factory.mktemp("nothing"))
        user.run("start", "-c", str(user.profile("open", text)))
        yield user


@pytest.fixture(scope="module")
def daemon() -> Iterator[User]:
    """Return somebody whose daemon runs on the profile `open`, which holds nothing."""
    with somebody() as user:
        user.run("start", "-c", str(user.profile("open", PROFILE)))
        yield user
