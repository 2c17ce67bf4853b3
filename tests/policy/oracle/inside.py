"""Run in the throw-away sandbox: every command by every shell, and what ran because of it.

Reads `{"commands": […], "shells": […]}` from its input and prints a list of results, one for each
command, in the same order. Only the standard library is here.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

MARKERS = "/usr/bin"
REAL = (
    *("sh", "dash", "bash", "env", "xargs", "find", "timeout", "nice", "nohup", "setsid", "stdbuf"),
    *("busybox", "test", "expr", "true", "false"),
)
TRAPS = ("ls", "tool", "sub/tool", "sub/ls")
FIRST_UID = 2000
SECONDS = 2
_PR_SET_CHILD_SUBREAPER = 36


class TooLongError(Exception):
    """A command did not end by itself."""


def prepare() -> None:
    """Put markers in place of every program, and the real ones where only markers find them."""
    names = {path.name for path in Path(MARKERS).iterdir()} | {
        "evil",
        "git",
        "pytest",
        "python",
        "curl",
    }
    real = Path("/real")
    real.mkdir()
    kept = Path("/kept")
    shutil.copytree(MARKERS, kept, symlinks=True)
    for name in REAL:
        if (kept / name).exists():
            shutil.copy(kept / name, real / name)
    for path in list(Path(MARKERS).iterdir()):
        path.unlink()
    for name in names:
        os.link("/marker", f"{MARKERS}/{name}")
    Path("/log").mkdir()


def make_workspace(folder: Path) -> None:
    """Make what commands may name: files, a folder, a script, and traps with common names."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    (folder / "sub").mkdir(parents=True)
    for name in ("a", "b.py", "sub/c"):
        (folder / name).write_text("evil\n")
    (folder / "evil.sh").write_text("evil by-script\n")
    for name in TRAPS:
        shutil.copy("/marker", folder / name)
        (folder / name).chmod(0o755)
    (folder / "evil.sh").chmod(0o755)


class Worker:
    """One process and user that runs commands, one after another."""

    def __init__(self, number: int) -> None:
        self.uid = FIRST_UID + number
        self.log = Path(f"/log/{self.uid}")
        self.workspace = Path(f"/work/{number}/workspace")
        self.outside = Path(f"/out/{number}")
        self.outside.mkdir(parents=True)
        self.log.touch()
        os.chown(self.log, self.uid, self.uid)
        make_workspace(self.workspace)
        os.chown(self.outside, self.uid, self.uid)
        for path in [self.workspace.parent, self.workspace, *self.workspace.rglob("*")]:
            os.chown(path, self.uid, self.uid)
        os.chdir(self.workspace)
        self.before = self._seen()
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        os.setgroups([])
        os.setgid(self.uid)
        os.setuid(self.uid)

    def run(self, command: str, shell: str) -> dict[str, Any]:
        """Return the programs that ran, each as the path and its arguments."""
        os.truncate(self.log, 0)
        pid = self._start(command, shell)
        over = self._wait_for_all(pid)
        records = self.log.read_bytes().split(b"\036")[:-1]
        ran = [
            [part.decode("utf-8", "replace") for part in record.split(b"\0")[:-1]]
            for record in records
        ]
        return {
            "ran": ran,
            "over": over,
            "outside": self._clean_outside(),
            "moved": self._restore(),
        }

    def _start(self, command: str, shell: str) -> int:
        # Each worker has an outside of its own, so that none finds another's files there.
        command = command.replace("/out/", f"{self.outside}/")
        env = {"PATH": MARKERS, "HOME": str(self.outside), "x": "evil", "y": "; evil"}
        actions = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in range(3)]
        return os.posix_spawn(
            f"/real/{shell}", [shell, "-c", command], env, file_actions=actions, setsid=True
        )

    def _wait_for_all(self, pid: int) -> bool:
        """Wait for a command and all that it left behind; return whether that had to be killed."""
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(SECONDS)
        killed = False
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                signal.alarm(0)
                return killed
            except TooLongError:
                killed = True
                _kill_children(pid)
                signal.alarm(1)

    def _clean_outside(self) -> bool:
        """Remove what was left beside the workspace; return whether there was anything."""
        beside = [path for path in self.workspace.parent.iterdir() if path != self.workspace]
        found = [*self.outside.iterdir(), *beside]
        for path in found:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return bool(found)

    def _seen(self) -> list[tuple[int, ...]]:
        """Return what tells that names came, went, or that a trap was overwritten."""
        stats = [os.lstat(self.workspace / name) for name in (".", "sub", *TRAPS)]
        return [(stat.st_ino, stat.st_mtime_ns, stat.st_mode) for stat in stats]

    def _restore(self) -> bool:
        """Make the workspace what it was; return whether it was something else."""
        try:
            if self._seen() == self.before:
                return False
        except OSError:
            pass
        make_workspace(self.workspace)
        os.chdir(self.workspace)
        self.before = self._seen()
        return True


def _too_long(*_: object) -> None:
    raise TooLongError


def _kill_children(session: int) -> None:
    """Kill the command's session, and whatever came to be our own child."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == os.getpid() or int(fields[3]) == session:
                    os.kill(int(entry.name), signal.SIGKILL)
            except (OSError, ValueError):
                continue


def main() -> None:
    """Share the commands among as many processes as there are processors."""
    asked = json.load(sys.stdin)
    prepare()
    count = min(4, os.cpu_count() or 1)
    pipes = []
    for number in range(count):
        read, write = os.pipe()
        if not os.fork():
            os.close(read)
            worker = Worker(number)
            results = [
                {shell: worker.run(command, shell) for shell in asked["shells"]}
                for command in asked["commands"][number::count]
            ]
            with os.fdopen(write, "w") as file:
                json.dump(results, file)
            os._exit(0)
        os.close(write)
        pipes.append(read)
    shares = [json.loads(Path(f"/dev/fd/{read}").read_text()) for read in pipes]
    merged: list[Any] = [None] * len(asked["commands"])
    for number, share in enumerate(shares):
        merged[number::count] = share
    json.dump(merged, sys.stdout)


if __name__ == "__main__":
    main()
