"""Where deepd's files are, as paths; and folders and sockets that are fit for use."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from deepd.config import folders
from deepd.errors import SettingsError

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path that the kernel takes, without the NUL behind it."""

SETTINGS_FILE = folders.SETTINGS_FILE


def config_dir() -> Path:
    """Return the folder of the user's profiles and of `deepd.toml`."""
    return Path(folders.config_dir())


def state_dir() -> Path:
    """Return the folder of the store and the workspaces."""
    return Path(folders.state_dir())


def runtime_dir() -> Path:
    """Return the folder of the sockets, which goes when the user logs out."""
    return Path(folders.runtime_dir())


def operator_socket(folder: Path | None = None) -> Path:
    """Return the socket of people, who may decide."""
    return (folder or runtime_dir()) / "deepd.sock"


def agent_socket(folder: Path | None = None) -> Path:
    """Return the socket of agents, which may only call."""
    return (folder or runtime_dir()) / "agent.sock"


def check_socket_path(path: Path) -> Path:
    """Return a path that a socket can be bound to, or raise `SettingsError`."""
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH:
        raise SettingsError(
            f"the socket's path is {length} bytes long, and {MAX_SOCKET_PATH} is the most: {path}",
            next_step="set DEEPD_RUNTIME_DIR to a shorter path",
        )
    return path


def private_dir(path: Path) -> Path:
    """Make a folder that only this user can enter, or make an own one so; return it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
            if stat.S_IMODE(status.st_mode) & 0o077:
                path.chmod(0o700)
            return path
    except OSError as error:
        raise SettingsError(f"cannot make the folder {path}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise SettingsError(
            f"{path} is not a folder, or a link to one", next_step="name the folder itself"
        )
    raise SettingsError(
        f"{path} belongs to another user (uid {status.st_uid})",
        next_step="set DEEPD_RUNTIME_DIR and DEEPD_STATE_DIR to folders of your own",
    )


def expanded(text: str, base: Path) -> Path:
    """Return an absolute path: `~` is the home folder, a relative one is under `base`."""
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        path = Path(text)
    return path if path.is_absolute() else base / path
