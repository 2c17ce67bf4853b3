"""A path of this machine, opened component by component: nobody's link decides what is mounted.

A link that an agent or another user planted could turn `./data` into `/etc` between two starts.
So no link is followed below an allowed root, and above one only those that root made where only
root can make them (`/home -> /usr/home`).
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Sequence
from pathlib import Path

MAX_LINKS = 40
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)


class HostPathError(Exception):
    """The path may not be used; `hint` says what to do."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def resolve(path: Path, roots: Sequence[Path]) -> tuple[Path, os.stat_result]:
    """Return the real path of an absolute one, and what is there, or raise `HostPathError`."""
    walk = _Walk(roots)
    try:
        return walk.to(path)
    finally:
        walk.close()


def is_within(path: Path, folder: Path) -> bool:
    """Return whether the path is the folder or something below it; both are real paths."""
    return path == folder or folder in path.parents


class _Walk:
    """The open folders from `/` to where the walk is, and their names."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = roots
        self.names: list[str] = []
        self.folders = [os.open("/", _OPEN)]
        self.links = 0

    def close(self) -> None:
        for folder in self.folders:
            os.close(folder)

    def to(self, path: Path) -> tuple[Path, os.stat_result]:
        rest = deque(path.parts[1:])
        status = os.fstat(self.folders[-1])
        while rest:
            name = rest.popleft()
            if name == "..":
                status = self._up()
                continue
            status = self._look(name)
            if stat.S_ISLNK(status.st_mode):
                self._follow(name, status, rest)
                status = os.fstat(self.folders[-1])
            elif rest or stat.S_ISDIR(status.st_mode):
                self._down(name)
            else:
                return self._path(name), status
        return self._path(), status

    def _path(self, *more: str) -> Path:
        return Path("/", *self.names, *more)

    def _look(self, name: str) -> os.stat_result:
        try:
            status = os.stat(name, dir_fd=self.folders[-1], follow_symlinks=False)
        except FileNotFoundError:
            raise HostPathError(f"does not exist: {self._path(name)}") from None
        except OSError as error:
            raise HostPathError(f"cannot be looked at: {error.strerror}") from None
        folder = os.fstat(self.folders[-1])
        if folder.st_mode & stat.S_IWOTH:
            self._check_shared(folder, status, name)
        return status

    def _check_shared(self, folder: os.stat_result, status: os.stat_result, name: str) -> None:
        """Refuse what another user of this machine could exchange."""
        if not folder.st_mode & stat.S_ISVTX:
            raise HostPathError(
                f"could be exchanged by others, who may write in {self._path()}",
                f"run `chmod o-w {self._path()}`",
            )
        if status.st_uid not in {0, os.geteuid()}:
            raise HostPathError(f"belongs to another user: {self._path(name)}")

    def _up(self) -> os.stat_result:
        if self.names:
            self.names.pop()
            os.close(self.folders.pop())
        return os.fstat(self.folders[-1])

    def _down(self, name: str) -> None:
        try:
            self.folders.append(os.open(name, _OPEN, dir_fd=self.folders[-1]))
        except OSError as error:
            raise HostPathError(f"cannot be opened: {self._path(name)}: {error.strerror}") from None
        self.names.append(name)

    def _follow(self, name: str, status: os.stat_result, rest: deque[str]) -> None:
        folder = os.fstat(self.folders[-1])
        is_roots_alone = folder.st_uid == 0 and not folder.st_mode & 0o022
        below_a_root = any(is_within(self._path(), root) for root in self.roots)
        if status.st_uid != 0 or not is_roots_alone or below_a_root:
            raise HostPathError(
                f"leads through a link: {self._path(name)}", "name the folder that it leads to"
            )
        self.links += 1
        if self.links > MAX_LINKS:
            raise HostPathError("leads through too many links")
        target = Path(os.readlink(name, dir_fd=self.folders[-1]))
        parts = target.parts
        if target.is_absolute():
            while self.names:
                self._up()
            parts = parts[1:]
        rest.extendleft(reversed(parts))
