"""`deepd cp`: files and folders into a session and out of it; `-` is our stdin or stdout."""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from deepd.cli.connect import connect
from deepd.cli.pack import pack_file, pack_folder
from deepd.cli.parser import add_verb, refuse
from deepd.cli.stream import close_stream
from deepd.cli.unpack import copy, print_file, unpack_file, unpack_folder
from deepd.errors import ConflictError, FileError, NotFoundError

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.client.sync import Client

_PIECE = 256 << 10
_IN_MEMORY = 8 << 20
_TAR_MAGIC = slice(257, 262)


class Remote(NamedTuple):
    """A path in a session."""

    session: str
    path: str

    @property
    def name(self) -> str:
        """Its last part; empty for a folder's content (`.`)."""
        last = self.path.rstrip("/").rpartition("/")[2]
        return "" if last in {"", ".", ".."} else last

    def inside(self, name: str) -> Remote:
        """Return a path below it."""
        return Remote(self.session, f"{self.path.rstrip('/')}/{name}" if name else self.path)


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "cp",
        usage="deepd cp FROM SESSION:PATH\n       deepd cp SESSION:PATH TO",
        description="A folder that is there takes the copy into it, as with cp. `-` is a file's "
        "bytes, or a folder as tar.",
    )
    parser.add_argument("source", metavar="FROM")
    parser.add_argument("target", metavar="TO")


def run(args: Namespace) -> int:
    """Copy."""
    source, target = parse_place(args.source), parse_place(args.target)
    client = connect(args, timeout=None)
    match source, target:
        case str(), Remote():
            _send(client, source, target)
        case Remote(), str():
            _fetch(client, source, target)
        case _:
            refuse("cp", "one of the two is SESSION:PATH, and the other is not")
    return 0


def parse_place(text: str) -> Remote | str:
    """Return a path in a session, or a path here: `./a:b` is here, as in docker."""
    session, colon, path = text.partition(":")
    if not colon or not session or text.startswith(("/", ".", "~")) or "/" in session:
        return text
    return Remote(session, path or ".")


def _send(client: Client, source: str, target: Remote) -> None:
    if source == "-":
        _send_stdin(client, target)
        return
    path = Path(source)
    if not path.exists():
        raise NotFoundError(f"there is no {source}")
    if path.is_dir():
        is_content = source.rstrip("/").endswith("/.") or source in {".", "./"}
        name = "" if is_content else path.resolve().name
        place = target.inside(name) if _is_folder(client, target) else target
        client.put_archive(place.session, place.path, pack_folder(path))
        return
    with path.open("rb") as file:
        status = path.stat()
        _put_file(client, target, path.name, file, status.st_size, status.st_mode & 0o777)


def _send_stdin(client: Client, target: Remote) -> None:
    """Write a file of what comes, or unpack it when it is a tar and the target a folder."""
    head = sys.stdin.buffer.read(512)
    if _is_folder(client, target):
        if head[_TAR_MAGIC] != b"ustar":
            raise ConflictError(
                f"{target.path} is a folder, and what comes is not a tar",
                next_step="name the file to write",
            )
        client.put_archive(target.session, target.path, chain([head], _pieces(sys.stdin.buffer)))
        return
    # A tar names its size first, so that has to be known.
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
        spool.write(head)
        copy(sys.stdin.buffer, spool)
        size = spool.tell()
        spool.seek(0)
        _put_file(client, target, "", spool, size, 0o644)


def _put_file(
    client: Client, target: Remote, name: str, file: IO[bytes], size: int, mode: int
) -> None:
    if name and (target.path.endswith("/") or _is_folder(client, target)):
        target = target.inside(name)
    if not target.name:
        raise ConflictError(f"{target.path} names no file", next_step="name the file to write")
    folder = target.path.rstrip("/").rpartition("/")
    where = folder[0] or (folder[1] or ".")
    client.put_archive(target.session, where, pack_file(target.name, file, size, mode))


def _fetch(client: Client, source: Remote, target: str) -> None:
    is_folder = _is_folder(client, source)
    pieces = client.get_archive(source.session, source.path)
    if target == "-":
        out = sys.stdout.buffer
        if is_folder:
            for piece in pieces:
                out.write(piece)
        else:
            print_file(pieces, out)
        out.flush()
        return
    path = Path(target)
    place = path / source.name if path.is_dir() and source.name else path
    if is_folder:
        unpack_folder(pieces, place)
    else:
        unpack_file(pieces, place)


def _is_folder(client: Client, place: Remote) -> bool:
    """Tell whether it is a folder, past the policy as all of `cp`: only a folder has a parent.

    No more is read of the parent's archive than that there is one.
    """
    pieces = client.get_archive(place.session, f"{place.path.rstrip('/') or '/'}/..")
    try:
        next(pieces, None)
    except FileError as error:
        if error.errno_name in {"ENOENT", "ENOTDIR"}:
            return False
        raise
    finally:
        close_stream(pieces)
    return True


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
