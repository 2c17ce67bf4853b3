"""llm-sandbox's session in a container."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llm_sandbox import SandboxSession

from tests.bench.subjects.peer import Peer
from tests.bench.subjects.serve import serve


class LlmSandbox(Peer):
    """Without its set-up of an environment, which needs a package index."""

    version = f"llm-sandbox {version('llm-sandbox')}"

    def __init__(self, image: str) -> None:
        self._image = image
        self._folder = tempfile.TemporaryDirectory(prefix="llm-sandbox-bench-")
        self._file = Path(self._folder.name) / "file"

    def open(self) -> Any:
        box = SandboxSession(
            image=self._image,
            lang="python",
            keep_template=True,
            skip_environment_setup=True,
            workdir="/workspace",
            runtime_configs={"network_mode": "none", "working_dir": "/workspace"},
        )
        box.open()
        self.run(box, ["true"])
        return box

    def drop(self, box: Any) -> None:
        box.container.remove(force=True)  # its own close() waits ten seconds for the shell
        box.container = None

    def run(self, box: Any, argv: Sequence[str]) -> None:
        result = box.execute_command(shlex.join(argv))
        assert result.exit_code == 0, result.stderr

    def write(self, box: Any, path: str, data: bytes) -> None:
        self._file.write_bytes(data)
        box.copy_to_runtime(str(self._file), path)

    def read(self, box: Any, path: str) -> bytes:
        box.copy_from_runtime(path, str(self._file))
        return self._file.read_bytes()


if __name__ == "__main__":
    serve(LlmSandbox, sys.argv[1])
