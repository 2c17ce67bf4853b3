"""Read a file that decides what may run: bounded, regular, and writable by its owner only."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from deepd.config.problem import Problem, file_problem
from deepd.model.profile import Position

MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """A file's text with `\\n` line ends, as it was at one moment."""

    file: Path
    text: str

    def position(self, offset: int) -> Position:
        """Return the line and column of a character."""
        line = self.text.count("\n", 0, offset) + 1
        return Position(str(self.file), line, offset - (self.text.rfind("\n", 0, offset) + 1) + 1)

    def problem(self, start: int, end: int, message: str, hint: str = "") -> Problem:
        """Return a problem with the characters from `start` up to `end` or the line's end."""
        first = self.text.rfind("\n", 0, start) + 1
        last = self.text.find("\n", start)
        line = self.text[first : last if last >= 0 else len(self.text)]
        length = max(1, min(end - start, first + len(line) - start))
        return Problem(self.position(start), message, line, length, hint)


def read_source(file: Path) -> Source | Problem:
    """Return the file's text, or why it cannot be used.

    It is opened first and judged by its descriptor, so what was judged is what is read. The last
    component may be a link, as some keep their settings; who owns what it leads to counts.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        return file_problem(file, f"cannot be read: {error.strerror}")
    except ValueError:
        return file_problem(file, "is not the name of a file")
    try:
        if refusal := _refusal(file, os.fstat(descriptor)):
            return refusal
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        return file_problem(file, f"cannot be read: {error.strerror}")
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        return file_problem(file, f"is larger than {MAX_BYTES // 1024} KiB")
    return _decode(file, data)


def _refusal(file: Path, status: os.stat_result) -> Problem | None:
    if not stat.S_ISREG(status.st_mode):
        return file_problem(file, "is not a regular file")
    if status.st_uid not in {0, os.geteuid()}:
        return file_problem(
            file,
            f"belongs to another user (uid {status.st_uid})",
            f"make it yours: `sudo chown {os.geteuid()} {file}`, after you have read it",
        )
    if status.st_mode & stat.S_IWOTH or (
        status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_uid, status.st_gid)
    ):
        return file_problem(
            file,
            f"can be written by others (mode {stat.S_IMODE(status.st_mode):04o})",
            f"run `chmod go-w {file}`",
        )
    return None


def _is_private_group(uid: int, gid: int) -> bool:
    """Return whether the group is the one-person group that many systems give each user."""
    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return uid != 0 and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _decode(file: Path, data: bytes) -> Source | Problem:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        source = Source(file, _one_line_end(data.decode("utf-8", "replace")))
        before = len(_one_line_end(data[: error.start].decode("utf-8")))
        return source.problem(
            before, before + 1, f"byte 0x{data[error.start]:02x} is not UTF-8", "save it as UTF-8"
        )
    source = Source(file, _one_line_end(text))
    if text.startswith("\ufeff"):
        return source.problem(0, 1, "begins with a byte order mark", "save it as plain UTF-8")
    return source


def _one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n")
