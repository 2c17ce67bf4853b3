"""Somebody at a shell, with a daemon on the fake engine and folders of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.eventually import eventually_sync

DEEPD = [sys.executable, "-m", "deepd"]


@dataclass
class User:
    """Runs commands as processes, as people do."""

    home: Path
    env: dict[str, str]

    def run(self, *args: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run `deepd ARGS` to its end."""
        return subprocess.run(
            [*DEEPD, *args],
            cwd=self.home,
            env=self.env,
            input=b"" if stdin is None else stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )

    def text(self, *args: str) -> str:
        """Return what a command printed that must go well."""
        done = self.run(*args)
        assert done.returncode == 0, (args, done)
        return done.stdout.decode()

    def spawn(self, *args: str) -> subprocess.Popen[bytes]:
        """Start `deepd ARGS` in a process group of its own, and do not wait."""
        return subprocess.Popen(
            [*DEEPD, *args],
            cwd=self.home,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def held(self) -> str:
        """Wait for the one call that is held, and return its id."""
        eventually_sync(lambda: self.text("approvals", "-q"))
        return self.text("approvals", "-q").strip()


@contextmanager
def new_user() -> Iterator[User]:
    """Make a home that an ordinary user can go through; no daemon runs yet."""
    with TemporaryDirectory(prefix="deepd-cli-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": folder,
            "DEEPD_RUNTIME_DIR": f"{folder}/run",
            "DEEPD_STATE_DIR": f"{folder}/state",
            "XDG_CONFIG_HOME": f"{folder}/config",
            "DEEPD_GUEST_CACHE": os.environ.get("DEEPD_GUEST_CACHE", str(Path.home() / ".cache")),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "DEEPD_CLIENT": "tester",
        }
        yield User(home, env)


@contextmanager
def fake_daemon(user: User, **texts: str) -> Iterator[None]:
    """Run a daemon over one profile for each session that is named, `<name>.toml`."""
    files = []
    for name, text in texts.items():
        workspace = user.home / "workspaces" / name / "workspace"
        file = user.home / f"{name}.toml"
        file.write_text(
            f'image = "python:3.12-slim"\nsessions = ["{name}"]\n'
            f'workspace_root = "{user.home}/workspaces"\n'
            # The fake engine mounts nothing: where the workspace is, there it is worked.
            f'work_dir = "{workspace}"\n{text}'
        )
        files.append(str(file))
    command = [sys.executable, "-m", "tests.daemon.fake_daemon", *files]
    with (user.home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=user.env, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        assert ready == b"ready\n", (user.home / "log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()
