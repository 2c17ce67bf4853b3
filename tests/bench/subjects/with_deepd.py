"""deepd: its daemon, its synchronous client, its command line."""

from __future__ import annotations

import functools
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker

import deepd
from deepd.client.sync import Client
from tests.bench.subjects.peer import Peer
from tests.bench.subjects.serve import serve
from tests.bench.subjects.works import MIB

_COLD = (
    'image = "{image}"\nsessions = ["main"]\nidle_timeout = "1h"\n[limits]\noutput_kill = "2GiB"\n'
)
_WARM = 'image = "{image}"\nsessions = []\nwarm = 2\n'
_MANY = 200
_PATIENCE = 600.0


class Deepd(Peer):
    """A daemon of its own, with a session, a warm pool and, when asked, 200 sessions."""

    version = f"deepd {deepd.__version__}"

    def __init__(self, image: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="deepd-bench-")
        self._home = Path(self._folder.name)
        self._deepd = str(Path(sys.executable).with_name("deepd"))
        os.environ |= {
            "DEEPD_RUNTIME_DIR": f"{self._home}/run",
            "DEEPD_STATE_DIR": f"{self._home}/state",
            "XDG_DATA_HOME": f"{self._home}/data",
            "XDG_CONFIG_HOME": f"{self._home}/config",
        }
        (self._home / "cold.toml").write_text(_COLD.format(image=image))
        self._warm_profile = _WARM.format(image=image)
        subprocess.run([self._deepd, "start", "-c", str(self._home)], check=True)
        self._client = Client(self._home / "run" / "deepd.sock", name="bench")
        self._engine = docker.from_env()

    def close(self) -> None:
        subprocess.run([self._deepd, "stop"], check=False)
        self._folder.cleanup()

    @functools.cached_property
    def box(self) -> str:
        """The session that the profile names."""
        self.run("main", ["true"])
        return "main"

    def open(self) -> str:
        return self._first("cold")

    def _first(self, profile: str) -> str:
        name = f"b{secrets.token_hex(6)}"
        assert self._client.exec(name, ["true"], profile=profile).exit_code == 0
        return name

    def drop(self, box: str) -> None:
        self._client.close_session(box, purge=True)
        self._until(lambda: box not in {row["name"] for row in self._client.sessions()})

    def wait_for_pool(self) -> None:
        path = self._home / "warm.toml"
        if not path.exists():
            path.write_text(self._warm_profile)
            self._client.reload()
        self._until(lambda: not self._client.plan())
        time.sleep(0.3)
        self._until(lambda: not self._client.plan())

    def claim(self) -> str:
        return self._first("warm")

    def run(self, box: str, argv: Sequence[str]) -> None:
        reply = self._client.exec(box, argv)
        assert reply.exit_code == 0, reply.output

    def stream(self, box: str, size: int) -> int:
        lines = self._client.exec_stream(box, ["head", "-c", str(size), "/dev/zero"])
        return sum(len(line["data"]) for line in lines if "data" in line)

    def write(self, box: str, path: str, data: bytes) -> None:
        self._client.write(box, path, data)

    def read(self, box: str, path: str) -> bytes:
        return self._client.read(box, path)

    def edit(self, box: str, path: str, old: str, new: str) -> None:
        self._client.edit(box, path, old, new)

    def ls(self, box: str, path: str) -> int:
        return len(self._client.ls(box, path))

    def glob(self, box: str, pattern: str, path: str) -> int:
        return len(self._client.glob(box, pattern, path))

    def grep(self, box: str, pattern: str, path: str) -> int:
        return len(self._client.grep(box, pattern, path))

    def process(self, box: str) -> list[str]:
        return [self._deepd, "exec", box, "--", "true"]

    def status(self) -> list[str]:
        return [self._deepd, "status", "--json"]

    def conformance(self) -> list[str]:
        suite = "tests/agent/test_workspace_conformance.py"
        pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        return [*pytest, "-k", "docker", suite]  # on the engine that the peer has, and no other

    def memory(self) -> float:
        return _megabytes(int(self._client.info()["pid"]))

    def memory_each(self) -> float:
        daemon = _megabytes(int(self._client.info()["pid"])) - self._alone
        rows = [row for row in self._client.sessions() if row["name"].startswith("many")]
        ids = [self._engine.api.inspect_container(row["container"]) for row in rows[:10]]
        guests = [_megabytes(found["State"]["Pid"]) for found in ids]
        return daemon / _MANY + sum(guests) / len(guests)

    def many(self) -> None:
        if (self._home / "many.toml").exists():
            return
        self._alone = self.memory()
        self._write_many("1h")
        self._client.reload()

        def ready() -> bool:
            states = [row["state"] for row in self._client.sessions()]
            return states.count("ready") >= _MANY

        self._until(ready)

    def reload(self) -> None:
        self._write_many(f"{secrets.randbelow(1000) + 60}m")
        self._client.reload()

    def _write_many(self, idle_timeout: str) -> None:
        names = json.dumps([f"many{number}" for number in range(_MANY)])
        image = json.dumps(json.loads(self._warm_profile.split("\n")[0].partition("= ")[2]))
        (self._home / "many.toml").write_text(
            f'image = {image}\nidle_timeout = "{idle_timeout}"\nsessions = {names}\n'
        )

    def _until(self, is_so: Any) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not is_so():
            assert time.monotonic() < deadline, "deepd did not come to rest"
            time.sleep(0.02)


def _megabytes(pid: int) -> float:
    """Return what a process uses alone and its part of what it shares."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.partition("\nPss:")[2].split()[0]) * 1024 / MIB


if __name__ == "__main__":
    serve(Deepd, sys.argv[1])
