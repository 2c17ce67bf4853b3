"""pydantic-ai-harness's DockerSandbox."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

from pydantic_ai_harness.docker_sandbox import DockerSandbox, DockerSandboxBackend

from tests.bench.subjects.serve import serve
from tests.bench.subjects.workspaces import Workspaces


class Harness(Workspaces):
    """A container a workspace, reached by the docker command."""

    version = f"pydantic-ai-harness {version('pydantic-ai-harness')}"

    def __init__(self, image: str) -> None:
        self._image = image

    def backend(self) -> Any:
        return DockerSandboxBackend(image=self._image, allow_internet_access=False)

    def drop(self, box: Any) -> None:
        self.wait(DockerSandbox(image=self._image).destroy(box.ref))


if __name__ == "__main__":
    serve(Harness, sys.argv[1])
