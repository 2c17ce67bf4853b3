"""Where deepd's folders are, as text: every command asks, and pathlib would double its cost."""

# Doing without pathlib is what this module is for.
# ruff: noqa: PTH109, PTH111, PTH112, PTH113, PTH116, PTH118, PTH123, PTH202
from __future__ import annotations

import os

SETTINGS_FILE = "deepd.toml"
_MAX_SETTINGS = 64 * 1024


def config_dir() -> str:
    """Return the folder of the user's profiles and of `deepd.toml`."""
    return _env("DEEPD_CONFIG_DIR") or _xdg("XDG_CONFIG_HOME", ".config")


def state_dir() -> str:
    """Return the folder of the store and the workspaces."""
    return (
        _env("DEEPD_STATE_DIR")
        or _from_settings("state_dir")
        or _xdg("XDG_DATA_HOME", ".local/share")
    )


def runtime_dir() -> str:
    """Return the folder of the sockets, which goes when the user logs out."""
    return _env("DEEPD_RUNTIME_DIR") or _from_settings("runtime_dir") or _default_runtime_dir()


def operator_socket() -> str:
    """Return the socket of people, who may decide."""
    return os.path.join(runtime_dir(), "deepd.sock")


def expanded(text: str, base: str) -> str:
    """Return an absolute path: `~` is the home folder, a relative one is under `base`."""
    return os.path.join(base, os.path.expanduser(text))


def _default_runtime_dir() -> str:
    if base := os.environ.get("XDG_RUNTIME_DIR"):
        return os.path.join(base, "deepd")
    user = os.geteuid()
    if user == 0:
        return "/run/deepd"
    home = f"/run/user/{user}"
    if os.path.isdir(home) and os.stat(home).st_uid == user:
        return os.path.join(home, "deepd")
    import tempfile  # noqa: PLC0415 - it costs more than all else here, and few come this far

    return os.path.join(tempfile.gettempdir(), f"deepd-{user}")


def _env(name: str) -> str:
    text = os.environ.get(name, "")
    return expanded(text, os.getcwd()) if text else ""


def _xdg(name: str, default: str) -> str:
    text = os.environ.get(name, "")
    base = text if text.startswith("/") else os.path.join(os.path.expanduser("~"), default)
    return os.path.join(base, "deepd")


def _from_settings(key: str) -> str:
    """Return a folder that `deepd.toml` names; what is wrong with the file, the daemon says."""
    folder = config_dir()
    file = os.path.join(folder, SETTINGS_FILE)
    try:
        if not os.path.isfile(file) or os.path.getsize(file) > _MAX_SETTINGS:
            return ""
        import tomllib  # noqa: PLC0415 - most have no such file, and every command comes by here

        with open(file, "rb") as opened:
            text = tomllib.load(opened).get(key)
    except (OSError, ValueError, RecursionError):
        return ""
    return expanded(text, folder) if isinstance(text, str) and text else ""
