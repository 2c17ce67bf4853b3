"""swe-rex: a server inside of the container, reached over a published port."""

from __future__ import annotations

import asyncio
import shlex
import site
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from swerex.deployment.docker import DockerDeployment
from swerex.runtime.abstract import (
    BashAction,
    Command,
    CreateBashSessionRequest,
    ReadFileRequest,
    WriteFileRequest,
)

from tests.bench.subjects.peer import Peer
from tests.bench.subjects.serve import serve

_SERVER = """#!/usr/bin/python3
import sys
sys.path.insert(0, "/swe-rex")
from swerex.server import main
main()
"""


class SweRex(Peer):
    """Its server is mounted from here, as an image of its own would need a registry."""

    version = f"swe-rex {version('swe-rex')}"

    def __init__(self, image: str) -> None:
        self._image = image
        self._loop = asyncio.Runner()
        show = "import sys; print(*sys.version_info[:2])"
        inside = subprocess.run(
            ["docker", "run", "--rm", image, "python3", "-c", show], capture_output=True, check=True
        )
        if tuple(map(int, inside.stdout.split())) != sys.version_info[:2]:
            raise RuntimeError("the image has another Python than its server was installed for")
        self._folder = tempfile.TemporaryDirectory(prefix="swe-rex-bench-")
        self._script = Path(self._folder.name) / "swerex-remote"
        self._script.write_text(_SERVER)
        self._script.chmod(0o755)

    def _wait(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run(doing)

    def open(self) -> Any:
        packages = site.getsitepackages()[0]
        box = DockerDeployment(
            image=self._image,
            pull="never",
            docker_args=[
                *("-v", f"{packages}:/swe-rex:ro"),
                *("-v", f"{self._script}:/usr/local/bin/swerex-remote:ro"),
                *("-w", "/workspace"),
            ],
        )
        self._wait(box.start())
        self._wait(box.runtime.create_session(CreateBashSessionRequest(startup_timeout=10)))
        self.run(box, ["true"])
        return box

    def drop(self, box: Any) -> None:
        self._wait(box.stop())

    def run(self, box: Any, argv: Sequence[str]) -> None:
        result = self._wait(box.runtime.execute(Command(command=list(argv), timeout=600)))
        assert result.exit_code == 0, result.stderr

    def write(self, box: Any, path: str, data: bytes) -> None:
        text = data.decode()
        self._wait(box.runtime.write_file(WriteFileRequest(path=path, content=text)))

    def read(self, box: Any, path: str) -> bytes:
        reply = self._wait(box.runtime.read_file(ReadFileRequest(path=path)))
        return str(reply.content).encode()

    def in_session(self, box: Any, argv: Sequence[str]) -> None:
        """Run it in the shell that stays."""
        self._wait(box.runtime.run_in_session(BashAction(command=shlex.join(argv))))


if __name__ == "__main__":
    serve(SweRex, sys.argv[1])
