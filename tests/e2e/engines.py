"""The engines that the same must hold on for whoever uses a session, as a user chooses them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from tests.engine.conftest import level_of
from tests.images import PYTHON
from tests.podman import PodmanService

ENGINES = [pytest.param("docker", marks=pytest.mark.docker), "podman", "local", "local-guest"]
"""`local-guest` is without bubblewrap."""


class Somebody(Protocol):
    """Whose daemon it is: a folder, and the environment that daemons of it are started in."""

    @property
    def home(self) -> Path:
        """A folder of its own."""
        ...

    @property
    def env(self) -> dict[str, str]:
        """What may be changed."""
        ...


def choose_engine(
    request: pytest.FixtureRequest, engine: str, user: Somebody, image: str = PYTHON
) -> str:
    """Set a user's environment for an engine and return what a profile says to be on it.

    Where that engine is not here the test is left out.
    """
    match engine:
        case "docker":
            return f'image = "{image}"\n'
        case "podman":
            service: PodmanService = request.getfixturevalue("podman")
            service.load(image)
            user.env["DEEPD_PODMAN_HOST"] = service.host
            return f'image = "{image}"\nengine = "podman"\n'
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
