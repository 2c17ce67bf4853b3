"""Failure: an ended file operation to an error that a person can read."""

from __future__ import annotations

import errno
import os

from deepd.errors import FileError
from deepd.guest.requests import Exit, How

_SENTENCES = {
    errno.ENOENT: "no such file or folder",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EACCES: "the sandbox's user may not",
    errno.EPERM: "the sandbox's user may not",
    errno.EEXIST: "it exists already",
    errno.ENOTEMPTY: "the folder is not empty",
    errno.ENOSPC: "no space is left",
    errno.EDQUOT: "no space is left",
    errno.EROFS: "the file system is read-only",
    errno.ELOOP: "too many links lead from one to the next",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EFBIG: "the file is too large",
    errno.EXDEV: "it cannot be moved to another file system",
    errno.EBUSY: "it is in use",
    errno.ESTALE: "it has changed since it was read",
    errno.EINVAL: "it is neither a file nor a folder",
}


def file_error(action: str, path: str, end: Exit) -> FileError:
    """Return the error for `cannot {action} {path}: ...`."""
    if end.how is How.FILE:
        sentence = _SENTENCES.get(end.errno) or end.note or os.strerror(end.errno)
        name = errno.errorcode.get(end.errno, "")
    else:
        sentence, name = f"the sandbox ended it ({end.how.name.lower().replace('_', ' ')})", "EINTR"
    return FileError(f"cannot {action} {shown(path)}: {sentence}", errno_name=name)


def shown(path: str) -> str:
    """Return a path for a sentence: short and printable."""
    printable = path if path.isprintable() else repr(path)
    return printable if len(printable) <= 300 else f"{printable[:297]}..."
