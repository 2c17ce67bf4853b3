"""A tar stream that nobody vouches for, to files of this machine and to nowhere else.

Links are made last, so that no file is ever written through one of them; what would lead out of
the folder is refused. `tarfile` only reads here: its own filter came with Python 3.11.4.
"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from deepd.errors import ForbiddenError, ProtocolError

_LONGEST_NAME = 4000
_PIECE = 256 << 10


class PieceReader(io.RawIOBase):
    """Pieces as they come from a socket, as a file to read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        """Say that it may be read."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill the buffer with what there is; 0 is the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        view = memoryview(buffer)  # type: ignore[arg-type] # typing has no name for buffers yet
        size = min(len(view), len(self._rest))
        view[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def unpack_folder(pieces: Iterator[bytes], folder: Path) -> None:
    """Unpack below a folder, which is made where it is missing."""
    folder.mkdir(exist_ok=True)
    links: list[tarfile.TarInfo] = []
    with _opened(pieces) as tar:
        for entry in tar:
            path = _checked(entry, folder)
            if entry.issym():
                links.append(entry)
            elif entry.isdir():
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(tar, entry, path)
        _link(links, folder)


def unpack_file(pieces: Iterator[bytes], target: Path) -> None:
    """Write the one file of a tar; it takes the target's place when it is whole."""
    with _opened(pieces) as tar:
        entry = tar.next()
        if entry is None or not entry.isfile():
            raise ProtocolError("the sandbox sent something else than one file")
        _write(tar, entry, target)


def print_file(pieces: Iterator[bytes], out: IO[bytes]) -> None:
    """Write the content of the one file of a tar."""
    with _opened(pieces) as tar:
        entry = tar.next()
        content = tar.extractfile(entry) if entry is not None and entry.isfile() else None
        if content is None:
            raise ProtocolError("the sandbox sent something else than one file")
        copy(content, out)


def copy(source: IO[bytes], out: IO[bytes]) -> None:
    """Copy all of it."""
    while piece := source.read(_PIECE):
        out.write(piece)


def _opened(pieces: Iterator[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BufferedReader(PieceReader(pieces), _PIECE), mode="r|")


def _link(entries: Sequence[tarfile.TarInfo], folder: Path) -> None:
    """Make the links: all, or none where one of them leads out now that the others are there."""
    made: list[Path] = []
    try:
        for entry in entries:
            path = _checked(entry, folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(entry.linkname)
            made.append(path)
        for entry in entries:
            _checked(entry, folder)
    except ForbiddenError:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def _write(tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
    """Write a file whole or not at all; nobody but its owner may write it then."""
    content = tar.extractfile(entry)
    if content is None:
        raise ProtocolError(f"the archive has no content of {entry.name[:200]!r}")
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:50]}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            copy(content, file)
        Path(name).chmod(entry.mode & 0o755 | 0o600)
        os.utime(name, (entry.mtime, entry.mtime))
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _checked(entry: tarfile.TarInfo, folder: Path) -> Path:
    """Return where the entry may be unpacked to, or refuse it."""
    name = entry.name[:200]
    if not (entry.isfile() or entry.isdir() or entry.issym()):
        raise ForbiddenError(f"{name!r} in the archive is neither file, folder nor link")
    # Longer ones are how checks of real paths have been outwitted.
    if max(len(entry.name), len(entry.linkname)) > _LONGEST_NAME:
        raise ForbiddenError(f"{name!r}… in the archive is too long a name")
    path = folder / entry.name.lstrip("/")
    _check_inside(path, folder, f"{name!r}")
    if entry.issym():
        # An absolute target takes the place of all before it.
        _check_inside(path.parent / entry.linkname, folder, f"the link {name!r}")
    return path


def _check_inside(path: Path, folder: Path, what: str) -> None:
    real, root = os.path.realpath(path), os.path.realpath(folder)
    if real != root and not real.startswith(f"{root.rstrip('/')}/"):
        raise ForbiddenError(
            f"{what} of the archive leads out of {folder}",
            next_step="look at it in the sandbox, or take the tar itself with TO as `-`",
        )
