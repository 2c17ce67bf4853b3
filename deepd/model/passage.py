"""Passage: whether a user may come to a folder, by the permissions of those on the way."""

from __future__ import annotations

import os
import stat
from pathlib import Path

ANYBODY = -1
"""A user, or a group, of whom nothing is known."""
_ACCESS_LIST = "system.posix_acl_access"


def closed_folder(path: Path, uid: int = ANYBODY, gid: int = ANYBODY) -> Path | None:
    """Return the first folder on the way to a path, or itself, that keeps this user out.

    Whatever is missing has yet to be made, and an access list may let anybody in: neither counts.
    """
    for folder in (*reversed(path.parents), path):
        try:
            status = folder.stat()
        except OSError:
            return None
        if not _lets_in(status, uid, gid) and not _has_access_list(folder):
            return folder
    return None


def _lets_in(status: os.stat_result, uid: int, gid: int) -> bool:
    if uid == 0:
        return True
    if status.st_uid == uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _has_access_list(folder: Path) -> bool:
    try:
        return bool(os.getxattr(folder, _ACCESS_LIST))
    except OSError:
        return False
