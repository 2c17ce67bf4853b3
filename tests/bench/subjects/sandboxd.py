"""pydantic-ai-backend's sandboxd, at its best: files on the host, one connection kept open."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
from pydantic_ai_backends.workspaces import SandboxdWorkspace

from tests.bench.subjects.serve import serve
from tests.bench.subjects.workspaces import Workspaces

_SUITE = Path(__file__).with_name("sandboxd_suite.py")


class Sandboxd(Workspaces):
    """A session of a service of our own on a free port."""

    version = f"pydantic-ai-backend {version('pydantic-ai-backend')}"

    def __init__(self, image: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sandboxd-bench-")
        self._suite = tempfile.TemporaryDirectory(prefix="sandboxd-suite-")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        settings = {
            "TOKEN": "bench",
            "RUNTIMES": f"python={image}",
            "WORKSPACE_ROOT": self._folder.name,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "MAX_SESSIONS": "200",
            "MAX_READ_BYTES": str(1 << 30),
            "PREWARM": "false",
        }
        env = os.environ | {f"SANDBOXD_{name}": value for name, value in settings.items()}
        server = [sys.executable, "-m", "pydantic_ai_backends.remote.server"]
        self._server = subprocess.Popen(server, env=env, stdout=subprocess.DEVNULL)
        self._wait_for_it(port)
        self._workspace = SandboxdWorkspace(
            service_url=self._url, token="bench", client=httpx.AsyncClient()
        )

    def _wait_for_it(self, port: int) -> None:
        deadline = time.monotonic() + 60
        while True:
            assert self._server.poll() is None, "sandboxd ended at once"
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "sandboxd does not answer"
                time.sleep(0.05)

    def backend(self) -> Any:
        return self._workspace.backend()

    def drop(self, box: Any) -> None:
        self.wait(self._workspace.destroy(box.ref))

    def close(self) -> None:
        super().close()
        self._server.terminate()
        self._server.wait()
        self._folder.cleanup()

    def conformance(self) -> list[str]:
        os.environ["BENCH_SANDBOXD_URL"] = self._url
        shutil.copy(_SUITE, self._suite.name)  # away from the settings of deepd's own tests
        anyio = ["-p", "anyio", "-o", "anyio_mode=auto", "-p", "no:cacheprovider"]
        return [sys.executable, "-m", "pytest", "-q", *anyio, f"{self._suite.name}/{_SUITE.name}"]


if __name__ == "__main__":
    serve(Sandboxd, sys.argv[1])
