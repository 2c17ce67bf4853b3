"""Results: what the operations of a sandbox return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any


class _Item:
    """Lets a value be read as a mapping too, `info["path"]`, as programs of old do."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        if name not in self.keys():
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field by its name, or the default."""
        return getattr(self, name) if name in self.keys() else default

    def keys(self) -> list[str]:
        """Return the names of the fields, so that `dict(info)` works."""
        return [field.name for field in fields(self)]  # type: ignore[arg-type] # only dataclasses


@dataclass(frozen=True, slots=True)
class ExecuteResponse:
    """How a command ended and what it printed."""

    output: str
    """stdout and stderr in the order of arrival; bytes that are no text are replaced."""
    exit_code: int
    """The shell's: 127 for a missing program, 128 + n for signal n."""
    truncated: bool = False
    """It printed more than was kept, and `output` is the beginning."""
    stdout: str = ""
    stderr: str = ""
    duration: float = 0.0
    """Seconds from start to end, as the sandbox measured them."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of a write: the absolute path, or else why nothing was written."""

    path: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class EditResult:
    """What became of an edit: path and number of replacements, or else why nothing changed."""

    path: str | None = None
    error: str | None = None
    occurrences: int | None = None


@dataclass(frozen=True, slots=True)
class FileInfo(_Item):
    """A file or folder as listings show it; also readable as `info["path"]`."""

    name: str
    path: str
    """Absolute."""
    is_dir: bool
    size: int | None
    """Bytes; `None` for a folder."""


@dataclass(frozen=True, slots=True)
class GrepMatch(_Item):
    """A line that matched; also readable as `match["line"]`."""

    path: str
    line_number: int
    """Counted from 1."""
    line: str
    """Without its end; the beginning of a very long one."""
