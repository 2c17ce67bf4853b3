"""Mounts: the host folders that a user of the library gives to a sandbox."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from deepd.engine.workspace import OWNER
from deepd.errors import ArgumentsError, EngineRefusedError
from deepd.model.profile import Volume

_KEPT = ("/.deepd", "/.deepd-lane", "/proc", "/sys", "/dev")
"""Folders of a sandbox that nothing is put in place of."""
_MODES = {"": False, "rw": False, "ro": True}


def read_volumes(volumes: Mapping[str, str]) -> tuple[Volume, ...]:
    """Return `{host: container}` as mounts, the host's paths absolute and without links.

    `~` is the home folder, a relative path begins at the current folder, and `:ro` behind the
    container's path mounts it read-only. Raises `ArgumentsError`.
    """
    found: dict[str, Volume] = {}
    for host, container in volumes.items():
        target, _, mode = str(container).partition(":")
        if mode not in _MODES:
            raise ArgumentsError(f"{container!r} has an unknown mode", next_step="use :ro or :rw")
        target = checked_folder(target, "a volume's container path")
        if target in found:
            raise ArgumentsError(f"two volumes are mounted at {target}")
        source = os.path.realpath(os.path.expanduser(os.fspath(host)))  # noqa: PTH111 - any path-like
        if source == "/":
            raise ArgumentsError("the whole file system of this machine cannot be a volume")
        found[target] = Volume(source, target, read_only=_MODES[mode])
    return tuple(found[target] for target in sorted(found))


def checked_folder(path: str, what: str) -> str:
    """Return an absolute path inside a sandbox in its shortest form, or raise `ArgumentsError`."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    shortest = "/" + "/".join(parts)
    if not path.startswith("/") or not parts or ".." in parts or not path.isprintable():
        raise ArgumentsError(
            f"{what} must be an absolute path below /, not {path!r}",
            next_step="such as /workspace",
        )
    if any(shortest == kept or shortest.startswith(f"{kept}/") for kept in _KEPT):
        raise ArgumentsError(f"{what} cannot be in {', '.join(_KEPT)}")
    return shortest


def make_missing(volumes: Sequence[Volume]) -> None:
    """Make the host folders that are missing; root's are an ordinary user's, as commands are."""
    for volume in volumes:
        path = Path(volume.source)
        if path.exists():
            continue
        try:
            path.mkdir(parents=True)
            if os.geteuid() == 0:
                os.chown(path, *OWNER)
        except OSError as error:
            raise EngineRefusedError(
                f"cannot make the folder {path} of a volume: {error.strerror}",
                next_step="make it yourself, or name another one",
            ) from error
