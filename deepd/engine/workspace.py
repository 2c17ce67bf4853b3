"""The host folder of a session, made and removed without following what others planted."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from deepd.errors import EngineRefusedError

FOLDER = "workspace"
OWNER = (1000, 1000)
"""Whose it is when deepd runs as root: an ordinary user's, so that commands do not run as root."""

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS_LIMIT = 20


def workspace_path(root: Path, name: str) -> Path:
    """Return where the workspace of a session, or of a warm sandbox, is."""
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise EngineRefusedError(f"{name!r} cannot name a workspace")
    return root / name / FOLDER


def prepare_workspace(root: Path, name: str) -> Path:
    """Make `<root>/<name>/workspace` where it is missing and return it, free of links.

    Every folder on the way must belong to root or to us, and be writable by nobody else unless it
    is sticky; so nobody else can put another folder in its place before the engine mounts it.
    """
    path = workspace_path(root, name)
    descriptor, real = _open_folders(path.parent)
    try:
        _make_workspace(descriptor)
    finally:
        os.close(descriptor)
    return real / FOLDER


def remove_workspace(root: Path, name: str) -> None:
    """Remove a workspace and all in it; links in it are removed, never followed."""
    path = workspace_path(root, name)
    if not path.parent.exists():
        return
    descriptor, _ = _open_folders(path.parent)
    try:
        if FOLDER in os.listdir(descriptor):  # noqa: PTH208 - of a descriptor
            shutil.rmtree(FOLDER, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    path.parent.rmdir()


def _open_folders(path: Path) -> tuple[int, Path]:
    """Open a folder from `/` down, making what is missing; return it and its path without links."""
    todo = list(reversed(path.absolute().parts[1:]))
    done: list[tuple[int, Path]] = [(os.open("/", _FLAGS), Path("/"))]
    links = 0
    try:
        while todo:
            parent, real = done[-1]
            part = todo.pop()
            if part == "..":
                if len(done) > 1:
                    os.close(done.pop()[0])
                continue
            child = _open_or_make(parent, part, real / part)
            if child is not None:
                done.append((child, real / part))
                continue
            links += 1
            target = Path(os.readlink(part, dir_fd=parent))
            if links > _LINKS_LIMIT:
                raise EngineRefusedError(f"{path}: too many links")
            if target.is_absolute():
                while len(done) > 1:
                    os.close(done.pop()[0])
            todo += [step for step in reversed(target.parts) if step != "/"]
        return done.pop()
    finally:
        for descriptor, _ in done:
            os.close(descriptor)


def _open_or_make(parent: int, name: str, real: Path) -> int | None:
    """Return a descriptor of a folder in a folder; `None` when it is a link that may be followed"""
    try:
        descriptor = os.open(name, _FLAGS, dir_fd=parent)
    except FileNotFoundError:
        with suppress(FileExistsError):  # another session's folder is made at the same time
            os.mkdir(name, 0o755, dir_fd=parent)
        descriptor = os.open(name, _FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
            raise
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode):
            raise EngineRefusedError(f"{real} is not a folder") from None
        _check_owner(found, real)
        return None
    try:
        _check_folder(os.fstat(descriptor), real)
    except EngineRefusedError:
        os.close(descriptor)
        raise
    return descriptor


def _check_folder(found: os.stat_result, real: Path) -> None:
    _check_owner(found, real)
    others = stat.S_IWOTH if found.st_gid in {0, os.getegid()} else stat.S_IWOTH | stat.S_IWGRP
    if found.st_mode & others and not found.st_mode & stat.S_ISVTX:
        raise EngineRefusedError(
            f"{real} can be written by others, who could put another folder in its place",
            next_step=f"`chmod go-w {real}`, or choose another workspace_root",
        )


def _check_owner(found: os.stat_result, real: Path) -> None:
    if found.st_uid not in {0, os.geteuid()}:
        raise EngineRefusedError(
            f"{real} belongs to user {found.st_uid}, who could put something else in its place",
            next_step="choose a workspace_root in folders that are yours",
        )


def _make_workspace(parent: int) -> None:
    """Make the workspace in its session's folder; one that is there keeps its owner and mode."""
    try:
        os.mkdir(FOLDER, 0o700, dir_fd=parent)
        is_new = True
    except FileExistsError:
        is_new = False
    try:
        descriptor = os.open(FOLDER, _FLAGS, dir_fd=parent)
    except OSError as error:
        raise EngineRefusedError(f"the {FOLDER} of the session is not a folder") from error
    try:
        # Root's and empty: whoever made it ended before it was given away.
        is_roots = os.geteuid() == 0 == os.fstat(descriptor).st_uid
        if is_roots and not os.listdir(descriptor):  # noqa: PTH208 - of a descriptor
            os.fchown(descriptor, *OWNER)
            is_new = True
        if is_new:
            os.fchmod(descriptor, 0o755)
    finally:
        os.close(descriptor)
