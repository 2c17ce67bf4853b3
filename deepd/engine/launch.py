"""Launch: starts a local sandbox's monitor, which is nobody's child for long and outlives us."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from deepd.engine.box import Box
from deepd.engine.bubblewrap import STATUS
from deepd.errors import EngineRefusedError
from deepd.model.passage import closed_folder
from deepd.model.profile import Limits
from deepd.model.sandbox import SandboxSpec

_OPEN_FILES = 65536
_MONITOR = (
    'exec 4<&0; "$@" <&4 3>&- 4<&- & echo "{\\"child-pid\\": $!}" >&3; wait "$!"; '
    'echo "{\\"exit-code\\": $?}" >&3'
)
"""For the shell: what bubblewrap's monitor says of its guest, of one that has no monitor.

A shell gives what it starts in the background an empty stdin, some of them before `<&0` is looked
at: so the pipe has another number by then.
"""


def render_plain(guest: Path, spec: SandboxSpec, work_dir: Path) -> list[str]:
    """Return the command of a guest as a plain process, with a monitor."""
    uid, gid = plain_user(spec, work_dir)
    user = f"{uid}:{gid}"
    arguments = ["--work-dir", str(work_dir), "--user", user, "--shell", spec.shell, "--as-is"]
    return ["/bin/sh", "-c", _MONITOR, "sh", str(guest), *arguments]


def plain_user(spec: SandboxSpec, work_dir: Path) -> tuple[int, int]:
    """Return the user and group whose processes its calls are."""
    if spec.user == "workspace":
        owner = work_dir.stat()
        return owner.st_uid, owner.st_gid
    if spec.user == "root":
        return 0, 0
    uid, _, gid = spec.user.partition(":")
    return int(uid), int(gid)


def check_passage(spec: SandboxSpec, work_dir: Path) -> None:
    """Raise where a plain process could not come to its workspace: root's folders are closed."""
    uid, gid = plain_user(spec, work_dir)
    closed = closed_folder(work_dir, uid, gid)
    if os.geteuid() == 0 and closed is not None:
        raise EngineRefusedError(
            f"calls run as user {uid}, who cannot come to their workspace {work_dir}:"
            f" {closed} is closed to others",
            next_step="set `workspace_root` to a folder that everybody may pass through, such as"
            ' "/srv/deepd", and name it in `allowed_roots` of deepd.toml',
        )


def launch(box: Box, command: list[str], environment: Mapping[str, str]) -> int:
    """Start the monitor with the box's pipes and return its process id.

    The pipes are opened for reading and writing: so neither ever ends while the guest lives, and
    who opens the other end knows by that whether it does.
    """
    flags = os.O_RDWR
    written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    opened: list[int] = []
    try:
        for path, how in ((box.stdin, flags), (box.stdout, flags), (box.log, written)):
            opened.append(_open(path, how))
        opened.append(_open(box.status, written))
        return os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, old, new) for new, old in enumerate(opened)],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
        )
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _open(path: Path, how: int) -> int:
    """Return a descriptor that is none of those which it is to become in the child."""
    low = os.open(path, how | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        return fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, STATUS + 1)
    finally:
        os.close(low)


def reap(monitor: int) -> bool:
    """Take the end of a monitor; tell whether it has ended, or is somebody else's child."""
    try:
        return os.waitpid(monitor, os.WNOHANG)[0] == monitor
    except ChildProcessError:
        return True


def limit(pids: Iterable[int], limits: Limits, beside: int, *, first: bool = False) -> None:
    """Set what the kernel holds each process to; `PermissionError` where it would be more.

    `beside` is how many processes are counted with the sandbox's own. At `first` what is asked for
    may be more than this machine gives us, and then it is what it gives.
    """
    wanted = {
        resource.RLIMIT_DATA: limits.memory,
        resource.RLIMIT_NPROC: limits.pids + beside,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for pid in pids:
        with suppress(ProcessLookupError):
            for name, most in wanted.items():
                soft, hard = resource.prlimit(pid, name)
                try:
                    resource.prlimit(pid, name, _pair(name, most, soft, hard))
                except (PermissionError, ValueError):
                    if not first:
                        raise
                    resource.prlimit(pid, name, (hard, hard))


def _pair(name: int, most: int, soft: int, hard: int) -> tuple[int, int]:
    """Return the new limits; what every program has its own idea of is only bounded."""
    if name in {resource.RLIMIT_DATA, resource.RLIMIT_NPROC}:
        return most, most
    highest = most if hard == resource.RLIM_INFINITY else min(most, hard)
    return highest if soft == resource.RLIM_INFINITY else min(soft, highest), highest


def count_processes(uid: int) -> int:
    """Return how many processes a user has."""
    count = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                count += folder.stat().st_uid == uid
    return count
