"""What a daemon's start loads and leaves out, and what holds meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROFILE = 'image = "python:3.12-slim"\n'
PLUGIN = """
from pathlib import Path

Path(__file__).with_name("loaded").touch()

class Plugin:
    def new_schema_validator(self, *given, **named):
        return None, None, None

plugin = Plugin()
"""
SERVING = """
import asyncio
import sys
import deepd.daemon.daemon
from deepd.config.paths import private_dir
from deepd.config.settings import load_settings
from deepd.server.guard import Guard
from deepd.server.serve import serve

async def main():
    folder = private_dir(load_settings().runtime_dir)
    async with serve(Guard(None), folder / "operator", folder / "agent"):
        pass

asyncio.run(main())
"""
ONLY_READY = """
import gc
import sys
import deepd.daemon.daemon
from deepd.cli.main import main

def only_ready(settings, paths, diary, *, opening, ready):
    print(gc.isenabled())
    ready()
    print(gc.isenabled())
    return 0

deepd.daemon.daemon.run_daemon = only_ready
main(sys.argv[1:])
"""


def python(*argv: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    own = {name: text for name, text in os.environ.items() if name != "PYDANTIC_DISABLE_PLUGINS"}
    return subprocess.run(
        [sys.executable, *argv],
        check=False,
        capture_output=True,
        text=True,
        env=own | (env or {}),
    )


def modules_of(code: str, folder: Path, **env: str) -> set[str]:
    """Return what is loaded after a piece of code in an own process."""
    result = python("-c", f"{code}\nprint(*sys.modules)", env=home(folder) | env)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def home(folder: Path) -> dict[str, str]:
    return {"DEEPD_STATE_DIR": f"{folder}/state", "DEEPD_RUNTIME_DIR": f"{folder}/run"}


def test_a_daemon_loads_nothing_that_its_first_answer_does_not_need(tmp_path: Path) -> None:
    loaded = modules_of(SERVING, tmp_path)
    assert "deepd.server.app" in loaded
    late = {"docker", "watchfiles", "websockets", "click", "multiprocessing", "tree_sitter"}
    assert not (late | {"difflib", "pydantic_settings"}) & loaded


def test_what_reads_the_environment_is_loaded_where_it_has_a_setting(tmp_path: Path) -> None:
    loaded = modules_of(SERVING, tmp_path, DEEPD_ENGINE_TIMEOUT="20")
    assert "pydantic_settings" in loaded


def test_uvicorn_is_whole_for_whoever_asks_for_more_of_it() -> None:
    code = (
        "import deepd.server.serve as ours, uvicorn; print(uvicorn.Config is ours.Config, "
        "uvicorn.Server.__module__, callable(uvicorn.run), uvicorn.__version__ > '0')"
    )
    assert python("-c", code).stdout.split() == ["True", "uvicorn.server", "True", "True"]


def test_a_pydantic_plugin_that_is_installed_has_no_say_in_a_daemon(tmp_path: Path) -> None:
    about = tmp_path / "odd-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[pydantic]\nodd = odd:plugin\n")
    (tmp_path / "odd.py").write_text(PLUGIN)
    env = {"PYTHONPATH": str(tmp_path), **home(tmp_path)}
    missing = str(tmp_path / "missing.toml")
    refused = python("-m", "deepd", "run", "-c", missing, env=env)
    assert refused.returncode == 78, refused.stderr
    assert not (tmp_path / "loaded").exists()
    python("-m", "deepd", "check", missing, env=env)
    assert (tmp_path / "loaded").exists(), "another command finds it: it is a plugin"


def test_no_garbage_is_collected_before_a_daemon_is_ready(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(PROFILE)
    argv = ("-c", ONLY_READY, "run", "-c", str(tmp_path / "p.toml"))
    result = python(*argv, env=home(tmp_path))
    assert result.stdout.split() == ["False", "True"], result.stderr


def test_garbage_is_collected_again_after_a_start_that_failed(tmp_path: Path) -> None:
    code = (
        "import gc, sys; from deepd.cli.main import main; print(main(sys.argv[1:]), gc.isenabled())"
    )
    result = python("-c", code, "run", "-c", str(tmp_path / "missing.toml"), env=home(tmp_path))
    assert result.stdout.split() == ["78", "True"], result.stderr
