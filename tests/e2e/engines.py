"""The engines that the same must hold on for whoever uses a session, as a user chooses them."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import User
from tests.engine.conftest import level_of

ENGINES = [pytest.param("docker", marks=pytest.mark.docker), "podman", "local", "local-guest"]
"""`local-guest` is without bubblewrap."""
_IMAGE = 'image = "deepd-test/python:3.11"\n'


def choose_engine(request: pytest.FixtureRequest, engine: str, user: User) -> str:
    """Set a user's environment for an engine and return what a profile says to be on it.

    Where that engine is not here the test is left out.
    """
    match engine:
        case "docker":
            return _IMAGE
        case "podman":
            user.env["DEEPD_PODMAN_HOST"] = request.getfixturevalue("podman").host
            return f'{_IMAGE}engine = "podman"\n'
        case "none":
            user.home.chmod(0o711)  # its user goes this way to the workspace itself
            where = f'workspace_root = "{user.home}/workspaces"\n'
            return f'{where}engine = "local"\nlocal = {{isolation = "none"}}\n'
        case _:
            level_of(engine)
    if engine == "local-guest":
        nothing = user.home / "nothing"
        nothing.mkdir()
        user.env["PATH"] = str(nothing)
    return 'engine = "local"\n'
