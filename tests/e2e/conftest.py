"""A user of the installed command: folders of its own, the real engine, the real daemon."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually_sync

DEEPD = [sys.executable, "-m", "deepd"]


@dataclass
class User:
    """Somebody at a shell, with a folder of profiles and no other daemon in the way."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        """Where the daemon answers people."""
        return Path(self.env["DEEPD_RUNTIME_DIR"]) / "deepd.sock"

    def run(self, *args: str, code: int | None = 0, stdin: bytes = b"", within: float = 60) -> Any:
        """Run `deepd ARGS`, check its exit code, and return what it printed."""
        done = subprocess.run(
            [*DEEPD, *args],
            cwd=self.home,
            env=self.env,
            input=stdin,
            capture_output=True,
            timeout=within,
            check=False,
        )
        printed = (done.stdout[-4000:] + done.stderr[-4000:]).decode(errors="replace")
        assert code in {None, done.returncode}, f"{args}: exit {done.returncode}\n{printed}"
        return done

    def text(self, *args: str, **more: Any) -> str:
        """Return its standard output as text."""
        return str(self.run(*args, **more).stdout.decode())

    def json(self, *args: str, **more: Any) -> Any:
        """Return its standard output as JSON."""
        return json.loads(self.run(*args, "--json", **more).stdout)

    def spawn(self, *args: str) -> subprocess.Popen[bytes]:
        """Start `deepd ARGS` and do not wait."""
        return subprocess.Popen(
            [*DEEPD, *args],
            cwd=self.home,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def curl(self, path: str, body: object | None = None) -> Any:
        """Do what a script does with curl, and return the JSON that came back."""
        data = [] if body is None else ["-H", "Content-Type: application/json", "-d", "@-"]
        return json.loads(self._curl(path, data, json.dumps(body).encode()))

    def file(self, path: str, session: str = "main") -> bytes:
        """Read a file of a session with curl."""
        return self._curl(f"/v1/sessions/{session}/files?path={path}", ["--fail"])

    def _curl(self, path: str, options: list[str], stdin: bytes = b"") -> bytes:
        done = subprocess.run(
            ["curl", "-sS", "--unix-socket", self.socket, *options, f"http://deepd{path}"],
            input=stdin,
            capture_output=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def profile(self, name: str, text: str) -> Path:
        """Write a profile the way editors do: a new file over the old one."""
        path = self.home / f"{name}.toml"
        fresh = path.with_name(f".{name}.tmp")
        fresh.write_text(text)
        fresh.rename(path)
        return path

    def session(self, name: str = "main") -> dict[str, Any]:
        """Return what `deepd ps` says of one session."""
        found = [row for row in self.json("ps")["sessions"] if row["name"] == name]
        return found[0] if found else {"state": "absent", "container": ""}

    def wait_for_state(self, state: str, name: str = "main", within: float = 30) -> dict[str, Any]:
        """Wait until the session is in that state."""
        seen: dict[str, Any] = {}

        def is_there() -> bool:
            seen.update(self.session(name))
            return bool(seen["state"] == state)

        eventually_sync(is_there, within=within)
        return seen

    def daemon_pid(self) -> int:
        """Return the process id of the daemon."""
        return int(self.curl("/v1/info")["pid"])

    def kill_daemon(self) -> None:
        """Kill the daemon as the kernel would when memory runs out."""
        pid = self.daemon_pid()
        assert pid > 1
        os.kill(pid, signal.SIGKILL)
        eventually_sync(lambda: not Path(f"/proc/{pid}/exe").exists())


def instance(user: User) -> str:
    """Return the id of the user's daemon: from itself, or from what it has left behind."""
    if user.socket.exists():
        return str(user.curl("/v1/info")["instance"])
    with closing(sqlite3.connect(f"{user.env['DEEPD_STATE_DIR']}/deepd.db")) as database:
        (found,) = database.execute("SELECT value FROM meta WHERE key = 'instance'").fetchone()
    return str(found)


def containers(user: User) -> list[str]:
    """Return the ids of the containers that the user's daemon has made, running or not."""
    done = subprocess.run(
        ["docker", "ps", "-aq", "--no-trunc", "--filter", f"label=deepd.instance={instance(user)}"],
        env=user.env | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@contextmanager
def somebody(docker_host: str = "") -> Iterator[User]:
    """Be a user, on that engine, for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="deepd-e2e-") as folder:
        home = Path(folder)
        (home / "run").mkdir(mode=0o700)
        env = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "DEEPD_RUNTIME_DIR": f"{folder}/run",
            "DEEPD_STATE_DIR": f"{folder}/state",
            "XDG_DATA_HOME": f"{folder}/data",
            "XDG_CONFIG_HOME": f"{folder}/config",
            "NO_COLOR": "1",
        }
        if docker_host := docker_host or os.environ.get("DOCKER_HOST", ""):
            env["DOCKER_HOST"] = docker_host
        one = User(home, env)
        try:
            yield one
        finally:
            one.run("stop", code=None)
            _remove_left(one)


def _remove_left(user: User) -> None:
    """Remove what the user's daemon left on docker, where there is docker and was a daemon."""
    if not shutil.which("docker") or not Path(user.env["DEEPD_STATE_DIR"], "deepd.db").exists():
        return
    with suppress(subprocess.CalledProcessError):
        for container in containers(user):
            subprocess.run(["docker", "rm", "-f", container], env=user.env, check=False)


@pytest.fixture
def user() -> Iterator[User]:
    """A user whose daemon and containers are gone afterwards."""
    with somebody() as one:
        yield one
