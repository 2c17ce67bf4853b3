"""Level: how far this machine lets sandboxes be isolated without a container engine."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass

from deepd.engine.bubblewrap import render_probe
from deepd.errors import EngineRefusedError

NONE = "none: plain processes"
"""What is said of a sandbox that nothing isolates."""
_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Level:
    """What was found, by trying it."""

    bwrap: str = ""
    """The program; empty where there is none that works."""
    version: str = ""
    trouble: str = ""
    """Why sandboxes cannot be isolated; empty where they can."""

    @property
    def words(self) -> str:
        """The level, for a person."""
        if not self.bwrap:
            return "none"
        user = "" if os.geteuid() == 0 else "user, "
        return f"namespaces ({user}mount, pid, ipc, uts; bubblewrap {self.version})"

    def check(self) -> None:
        """Raise where a sandbox would not be isolated."""
        if not self.bwrap:
            raise EngineRefusedError(
                f"sandboxes cannot be isolated here: {self.trouble}",
                next_step="install bubblewrap (`sudo apt install bubblewrap`) or a container"
                ' engine; isolation = "none" under [local] runs calls as plain processes,'
                " which reach all that you do",
            )


async def find_level() -> Level:
    """Try what is installed."""
    return await asyncio.to_thread(_try_bubblewrap)


def _try_bubblewrap() -> Level:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return Level(trouble="bubblewrap is not installed")
    version = _run([bwrap, "--version"])
    tried = _run(render_probe(bwrap))
    if version.returncode or tried.returncode:
        said = (tried.stderr or version.stderr).strip().splitlines() or ["it failed"]
        return Level(trouble=f"bubblewrap does not work: {said[-1][:300]}")
    return Level(bwrap, version.stdout.strip().rpartition(" ")[2])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_WITHIN,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
