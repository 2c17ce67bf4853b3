"""Level: how far this machine lets sandboxes be isolated without a container engine.

It is found by trying, best first: bubblewrap, then the guest itself, which makes the same
namespaces by system calls. Where neither works nothing claims to isolate.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepd.engine.bubblewrap import render_probe
from deepd.errors import DeepdError, EngineRefusedError
from deepd.guest.binary import guest_binary

NONE = "none: plain processes"
"""What is said of a sandbox that nothing isolates."""
_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Level:
    """What was found."""

    command: tuple[str, ...] = ()
    """What makes a sandbox from bubblewrap's options; empty where nothing does."""
    maker: str = ""
    """Who that is, for a person."""
    trouble: str = ""
    """Why what was tried before, or everything, does not work; empty where nothing failed."""

    @property
    def words(self) -> str:
        """The level, for a person."""
        if not self.command:
            return "none"
        user = "" if os.geteuid() == 0 else "user, "
        return f"namespaces ({user}mount, pid, ipc, uts; {self.maker})"

    def check(self) -> None:
        """Raise where a sandbox would not be isolated."""
        if not self.command:
            raise EngineRefusedError(
                f"sandboxes cannot be isolated here: {self.trouble}",
                next_step="install bubblewrap (`sudo apt install bubblewrap`) or a container"
                ' engine; isolation = "none" under [local] runs calls as plain processes,'
                " which reach all that you do",
            )


async def find_level(guest: Path | None = None) -> Level:
    """Try what there is, with this guest instead of the one that was built."""
    return await asyncio.to_thread(_try_all, guest)


def _try_all(guest: Path | None) -> Level:
    troubles = []
    makers: tuple[Callable[[], Level], ...] = (try_bubblewrap, lambda: try_guest(guest))
    for attempt in makers:
        level = attempt()
        if level.command:
            return level
        troubles.append(level.trouble)
    return Level(trouble="; ".join(troubles))


def try_bubblewrap() -> Level:
    """Return the level of the program that is installed for this."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return Level(trouble="bubblewrap is not installed")
    if trouble := _probe(bwrap):
        return Level(trouble=f"bubblewrap does not work: {trouble}")
    version = _run([bwrap, "--version"]).stdout.strip().rpartition(" ")[2]
    return Level((bwrap,), f"bubblewrap {version}")


def try_guest(guest: Path | None = None) -> Level:
    """Return the level of the guest, which takes no package."""
    try:
        program = str(guest or guest_binary())
    except DeepdError as error:
        return Level(trouble=str(error))
    if trouble := _probe(program, "--box"):
        return Level(trouble=f"namespaces cannot be made: {trouble}")
    return Level((program, "--box"), "made by the guest")


def _probe(*command: str) -> str:
    """Return what a first sandbox complains about; empty where it works."""
    tried = _run(render_probe(command))
    return _last_line(tried) if tried.returncode else ""


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    said = done.stderr.strip().splitlines() or ["it failed"]
    return said[-1].removeprefix("guest: ")[:300]


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
