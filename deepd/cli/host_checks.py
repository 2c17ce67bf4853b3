"""What `deepd doctor` looks at on this machine, without daemon and engine."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from deepd.cli.finding import Finding, fail, ok, warn
from deepd.cli.runtime_holes import holes_of, runc_version
from deepd.config import paths
from deepd.errors import SettingsError

_LEAST_FREE = 1 << 30


def check_folders(runtime: Path, state: Path) -> Iterator[Finding]:
    """Look at the two folders that must be ours alone, and at the room that is left."""
    for check, folder, variable in (
        ("runtime folder", runtime, "DEEPD_RUNTIME_DIR"),
        ("state folder", state, "DEEPD_STATE_DIR"),
    ):
        yield _check_folder(check, folder, variable)
    yield _check_room(state)


def _check_folder(check: str, folder: Path, variable: str) -> Finding:
    other = f"set {variable} to a folder of your own"
    try:
        status = folder.lstat()
    except FileNotFoundError:
        parent = next(path for path in folder.parents if path.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            return ok(check, f"{folder} (made at the first start)")
        return fail(check, f"{folder} cannot be made in {parent}", other)
    except OSError as error:
        return fail(check, f"{folder}: {error.strerror}", other)
    if not stat.S_ISDIR(status.st_mode):
        return fail(check, f"{folder} is not a folder", other)
    if status.st_uid != os.geteuid():
        return fail(check, f"{folder} belongs to uid {status.st_uid}", other)
    if mode := stat.S_IMODE(status.st_mode) & 0o077:
        return fail(check, f"others may enter {folder} ({mode:03o})", f"chmod 700 {folder}")
    return ok(check, str(folder))


def _check_room(state: Path) -> Finding:
    there = next(path for path in (state, *state.parents) if path.exists())
    usage = os.statvfs(there)
    free = usage.f_bavail * usage.f_frsize
    text = f"{free / (1 << 30):.1f} GiB free at {there}"
    if free < _LEAST_FREE:
        return warn("disk", text, "make room: on a full disk nothing new is approved or run")
    return ok("disk", text)


def check_socket_path(operator: Path) -> Finding:
    """Look whether a socket can be bound there at all."""
    try:
        paths.check_socket_path(operator)
    except SettingsError as error:
        return fail("socket path", error.detail, error.next_step)
    return ok("socket path", str(operator))


def check_engine_socket(path: str) -> Finding:
    """Look whether we may speak to the engine's socket."""
    check = "engine socket"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            connection.connect(path)
    except FileNotFoundError:
        return fail(check, f"{path} is not there", "start the engine, or set DOCKER_HOST")
    except PermissionError:
        return fail(
            check, f"no permission for {path}", "add yourself to the group docker, log in again"
        )
    except ConnectionRefusedError:
        return fail(check, f"nobody listens at {path}", "start the engine")
    except OSError as error:
        return fail(check, f"{path}: {error.strerror or error}", "look at the engine's own log")
    return ok(check, path)


def check_runtime(isolation: str) -> Iterator[Finding]:
    """Compare the runtime's version with the holes that are known."""
    version = runc_version(isolation)
    if version is None:
        yield ok("runtime", f"{isolation or 'unknown'}: no version of runc to compare")
        return
    text = ".".join(map(str, version))
    holes = holes_of(version)
    if not holes:
        yield ok("runtime", f"runc {text} has no hole that is known here")
    for hole in holes:
        yield warn(
            "runtime",
            f"runc {text}: {hole.names} ({hole.severity}): {hole.what}",
            f"have runc {hole.mend} or later; a distribution may have mended its {text} already:"
            " see its security tracker",
        )
