"""pydantic-ai-backend's DockerWorkspace."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

from pydantic_ai_backends.workspaces import DockerWorkspace

from tests.bench.subjects.serve import serve
from tests.bench.subjects.workspaces import Workspaces


class Docker(Workspaces):
    """A container a workspace, reached by docker exec."""

    version = f"pydantic-ai-backend {version('pydantic-ai-backend')}"

    def __init__(self, image: str) -> None:
        self._workspace = DockerWorkspace(image=image, network_mode="none")

    def backend(self) -> Any:
        return self._workspace.backend()

    def drop(self, box: Any) -> None:
        self.wait(self._workspace.destroy(box.ref))


if __name__ == "__main__":
    serve(Docker, sys.argv[1])
