"""Protocols: what a backend for files and a sandbox offer, whoever wrote them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from deepd.library.results import EditResult, ExecuteResponse, FileInfo, GrepMatch, WriteResult


@runtime_checkable
class BackendProtocol(Protocol):
    """A place for files. Relative paths begin at its working folder."""

    def read(self, path: str, offset: int = 0, limit: int = 2000) -> str:
        """Return at most `limit` lines from line `offset`, counted from 0, or what went wrong."""
        ...

    def read_bytes(self, path: str) -> bytes:
        """Return a file as it is."""
        ...

    def write(self, path: str, content: str | bytes) -> WriteResult:
        """Write a whole file; what went wrong is in the result."""
        ...

    def edit(
        self,
        path: str,
        old_string: str,
        new_string: str,
        replace_all: bool = False,  # noqa: FBT001, FBT002 - the signature that users know
    ) -> EditResult:
        """Replace a text that is there exactly once, or everywhere."""
        ...

    def ls_info(self, path: str) -> list[FileInfo]:
        """Return what is in a folder."""
        ...

    def glob_info(self, pattern: str, path: str = "/") -> list[FileInfo]:
        """Return what matches a pattern below a folder."""
        ...

    def grep_raw(
        self,
        pattern: str,
        path: str | None = None,
        glob: str | None = None,
        ignore_hidden: bool = True,  # noqa: FBT001, FBT002 - the signature that users know
    ) -> list[GrepMatch] | str:
        """Return the lines that match a regular expression, or what went wrong."""
        ...


@runtime_checkable
class SandboxProtocol(BackendProtocol, Protocol):
    """A backend that also runs commands."""

    @property
    def id(self) -> str:
        """What tells this sandbox from others."""
        ...

    def execute(self, command: str, timeout: float | None = None) -> ExecuteResponse:
        """Run a shell command to its end; raise `TimeoutError` after `timeout` seconds."""
        ...
