"""What is true on the engine, whatever the library says."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from deepd.engine.labels import INSTANCE
from tests.images import engine_api


@dataclass(frozen=True)
class Container:
    """A container as the engine lists it."""

    id: str
    name: str
    state: str
    instance: str


def containers(instance: str, session: str = "") -> list[Container]:
    """Return an instance's containers, or those of one session, running or not."""
    rows = engine_api().containers(all=True, filters={"label": f"{INSTANCE}={instance}"})
    found = [
        Container(row["Id"], row["Names"][0].removeprefix("/"), row["State"], instance)
        for row in rows
    ]
    return [one for one in found if not session or one.name == f"deepd-{instance}-{session}"]


def kill(container: Container) -> None:
    """Kill a container behind everybody's back."""
    engine_api().kill(container.id)


def remove(container: Container) -> None:
    """Remove a container behind everybody's back."""
    engine_api().remove_container(container.id, force=True)


def program(code: str, *args: str) -> subprocess.Popen[str]:
    """Start another Python program."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that a program prints."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, process.stderr.read() if process.stderr else ""
    return line
