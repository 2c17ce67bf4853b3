"""What commands really run, asked of a throw-away container: one for all of them."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.images import PYTHON, engine_api

SHELLS = ("dash", "bash")
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Ran:
    """What one shell made of one command."""

    programs: tuple[tuple[str, ...], ...]
    """Of each: the path that was executed, and its arguments from the name on."""
    is_outside: bool
    """It left something outside of the work folder."""
    is_over: bool
    """It did not end by itself."""


def run_all(commands: Sequence[str]) -> list[dict[str, Ran]]:
    """Return what every command ran, by shell."""
    api = engine_api()
    asked = json.dumps({"commands": list(commands), "shells": SHELLS})
    container = api.create_container(
        PYTHON,
        ["/bin/sh", "-c", "exec /usr/bin/python3 /inside.py </asked.json >/answer.json"],
        host_config=api.create_host_config(
            network_mode="none", mem_limit="1g", pids_limit=512, init=False
        ),
        entrypoint=[],
        user="0",
    )
    try:
        api.put_archive(container, "/", _archive(asked))
        api.start(container)
        end = api.wait(container, timeout=300)
        if end["StatusCode"]:
            raise RuntimeError(api.logs(container, tail=40).decode())
        pieces, _ = api.get_archive(container, "/answer.json")
        answer = _only_file(b"".join(pieces))
    finally:
        api.remove_container(container, force=True, v=True)
        api.close()
    return [{shell: _ran(told[shell]) for shell in SHELLS} for told in json.loads(answer)]


def _ran(told: dict[str, Any]) -> Ran:
    return Ran(tuple(map(tuple, told["ran"])), told["outside"], told["over"])


def _archive(asked: str) -> bytes:
    """Return what the container is given: the marker, the script and the commands."""
    with TemporaryDirectory() as folder:
        marker = Path(folder) / "marker"
        source = str(_HERE / "marker.c")
        command = ["cc", "-O1", "-static", "-Wall", "-Wextra", "-Werror", "-o", str(marker), source]
        subprocess.run(command, check=True)
        files = {
            "marker": (marker.read_bytes(), 0o755),
            "inside.py": ((_HERE / "inside.py").read_bytes(), 0o644),
            "asked.json": (asked.encode(), 0o644),
        }
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, (data, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def _only_file(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        member = archive.extractfile(archive.getmembers()[0])
        assert member is not None
        return member.read()
