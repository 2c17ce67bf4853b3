"""Binding a Unix socket: in a private folder, 0600 from its first moment, never a living one's."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from deepd.errors import OwnedError, SettingsError

MAX_PATH = 107
"""What fits into `sun_path` with its final zero."""
_BACKLOG = 256


def bind(path: Path) -> Listening:
    """Return a socket that listens at the path; whoever answers there already keeps it."""
    _check(path)
    if _is_alive(path):
        raise OwnedError(
            f"a daemon answers at {path} already",
            next_step="use it, or end it with `deepd stop`",
        )
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    # The mode counts from bind on: chmod afterwards would leave a moment for anybody.
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise SettingsError(f"cannot listen at {path}: {error}") from error
    finally:
        os.umask(before)
    return Listening(bound, path)


class Listening:
    """A bound socket and the name that it has in the file system."""

    def __init__(self, bound: socket.socket, path: Path) -> None:
        self.socket = bound
        self.path = path
        self._inode = _inode(path)

    def close(self) -> None:
        """Close it and take its name away, unless another socket has the name by now."""
        self.socket.close()
        if self._inode is not None and _inode(self.path) == self._inode:
            self.path.unlink(missing_ok=True)


def _check(path: Path) -> None:
    if len(os.fsencode(path)) > MAX_PATH:
        raise SettingsError(
            f"the socket's path is longer than {MAX_PATH} bytes: {path}",
            next_step="set DEEPD_RUNTIME_DIR to a shorter folder",
        )
    try:
        folder = path.parent.stat()
    except OSError as error:
        raise SettingsError(f"no folder for the socket: {error}") from error
    if folder.st_uid != os.geteuid() or stat.S_IMODE(folder.st_mode) & 0o077:
        raise SettingsError(
            f"the socket's folder {path.parent} is not private to uid {os.geteuid()}",
            next_step=f"make it so with `chmod 700 {path.parent}`, or set DEEPD_RUNTIME_DIR",
        )
    found = _mode(path)
    if found is not None and not stat.S_ISSOCK(found):
        raise SettingsError(f"{path} exists and is no socket", next_step="move it away")


def _is_alive(path: Path) -> bool:
    """Whether somebody accepts there; a socket file that nobody listens at is left from a crash."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        code = probe.connect_ex(str(path))
    # A full backlog answers EAGAIN: somebody is there, and busy.
    return code not in {errno.ENOENT, errno.ECONNREFUSED}


def _mode(path: Path) -> int | None:
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return None


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None
