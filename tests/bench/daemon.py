"""A daemon of the benchmark's own, with one sandbox on the real engine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepd.client.sync import Client

PROFILE = 'image = "deepd-test/python:3.11"\n'


@contextmanager
def daemon(profile: str = PROFILE, *, lanes: bool = True) -> Iterator[Client]:
    """Start it on one profile, yield a client when `main` is ready, and stop it.

    Without `lanes` its sandbox is reached through the engine.
    """
    with tempfile.TemporaryDirectory(prefix="deepd-bench-") as folder:
        if not lanes:
            (Path(folder) / "state").mkdir()
            (Path(folder) / "state" / "lanes").touch()  # in the place of the lanes' folder
        (Path(folder) / "bench.toml").write_text(profile)
        env = os.environ | {
            "DEEPD_RUNTIME_DIR": f"{folder}/run",
            "DEEPD_STATE_DIR": f"{folder}/state",
            "XDG_DATA_HOME": f"{folder}/data",
            "XDG_CONFIG_HOME": f"{folder}/config",
        }
        deepd = [sys.executable, "-m", "deepd"]
        subprocess.run([*deepd, "start", "-c", f"{folder}/bench.toml"], env=env, check=True)
        try:
            yield Client(Path(folder) / "run" / "deepd.sock", name="bench")
        finally:
            subprocess.run([*deepd, "stop"], env=env, check=True)
