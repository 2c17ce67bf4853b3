"""`true` in one warm sandbox: docker-py's exec_run, deepd, and a plain spawn on the host."""

from __future__ import annotations

import os
import shutil
from typing import Any

import docker

from tests.bench.daemon import daemon
from tests.bench.timing import interleave


def measure(pairs: int) -> list[dict[str, Any]]:
    """Return one row a way to run `true`, against docker-py on the same container."""
    program = shutil.which("true") or "/bin/true"
    with daemon() as client:
        container = docker.from_env().containers.get(client.session("main")["container"])

        def exec_run() -> None:
            assert container.exec_run(["true"]).exit_code == 0

        def through_the_daemon() -> None:
            assert client.exec("main", ["true"]).exit_code == 0

        def spawn() -> None:
            pid = os.posix_spawn(program, [program], os.environ)
            assert os.waitpid(pid, 0)[1] == 0

        return interleave(
            {
                "docker-py exec_run": exec_run,
                "deepd, daemon and sync client": through_the_daemon,
                "posix_spawn on the host": spawn,
            },
            pairs,
        )
