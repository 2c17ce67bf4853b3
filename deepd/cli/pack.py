"""Files and folders of this machine as a tar stream, of any size and piece by piece."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from deepd.cli.failure import say

_PIECE = 256 << 10
_END = bytes(2 * tarfile.BLOCKSIZE)


def pack_file(name: str, file: IO[bytes], size: int, mode: int) -> Iterator[bytes]:
    """Yield a tar with one file in it."""
    yield from _entry_of_file(name, file, size, mode)
    yield _END


def pack_folder(folder: Path) -> Iterator[bytes]:
    """Yield a tar of what is below a folder; links stay links, and are not followed."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(folders + files):
            path = Path(root, name)
            yield from _entry(path, path.relative_to(folder).as_posix())
    yield _END


def _entry(path: Path, name: str) -> Iterator[bytes]:
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode) & 0o777
    if stat.S_ISLNK(status.st_mode):
        yield _header(name, tarfile.SYMTYPE, mode, target=str(path.readlink()))
    elif stat.S_ISDIR(status.st_mode):
        yield _header(name, tarfile.DIRTYPE, mode)
    elif stat.S_ISREG(status.st_mode):
        with path.open("rb") as file:
            yield from _entry_of_file(name, file, status.st_size, mode)
    else:
        say(f"note: {path} is neither file, folder nor link, and is left out")


def _entry_of_file(name: str, file: IO[bytes], size: int, mode: int) -> Iterator[bytes]:
    yield _header(name, tarfile.REGTYPE, mode, size=size)
    left = size
    while left:
        piece = file.read(min(left, _PIECE))
        if not piece:
            raise OSError(f"{name} became shorter while it was read")
        left -= len(piece)
        yield piece
    yield bytes(-size % tarfile.BLOCKSIZE)


def _header(name: str, kind: bytes, mode: int, *, size: int = 0, target: str = "") -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.linkname = kind, mode, size, target
    return entry.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")
