"""A small backend over a folder in memory, for tests that are about the agent and not about it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any


@dataclass(frozen=True)
class Response:
    """How a command ended."""

    output: str
    exit_code: int = 0
    truncated: bool = False


@dataclass(frozen=True)
class Written:
    """How a write or an edit ended."""

    path: str | None = None
    error: str | None = None
    occurrences: int | None = None


class OutOfTimeError(TimeoutError):
    """A timeout that carries what was printed."""

    output = b"half of it"


@dataclass
class Folder:
    """Files in a dict; it notes which commands it ran, and in which threads."""

    files: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def read(self, path: str, offset: int = 0, limit: int = 2000) -> str:
        self.threads.add(threading.get_ident())
        if path not in self.files:
            return f"Error: {path}: no such file"
        return "".join(self.files[path].splitlines(keepends=True)[offset : offset + limit])

    def write(self, path: str, content: str) -> Written:
        if path.endswith("/"):
            return Written(error=f"{path} is a folder")
        self.files[path] = content
        return Written(path)

    def edit(self, path: str, old: str, new: str, replace_all: bool = False) -> Written:  # noqa: FBT001, FBT002
        count = self.files.get(path, "").count(old)
        if count == 0 or (count > 1 and not replace_all):
            return Written(error=f"the text is in {path} {count} times")
        self.files[path] = self.files[path].replace(old, new)
        return Written(path, occurrences=count)

    def ls_info(self, path: str) -> list[dict[str, Any]]:
        if path == "/missing":
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.glob_info("*", path)

    def glob_info(self, pattern: str, path: str = "/") -> list[dict[str, Any]]:
        return [
            {"name": name, "path": name, "is_dir": False, "size": len(text)}
            for name, text in sorted(self.files.items())
            if fnmatch(name, pattern)
        ]

    def grep_raw(
        self,
        pattern: str,
        path: str | None = None,
        glob: str | None = None,
        hidden: bool = True,  # noqa: FBT001, FBT002
    ) -> list[dict[str, Any]] | str:
        if pattern == "(":
            return "Error: missing )"
        return [
            {"path": name, "line_number": number, "line": line}
            for name, text in sorted(self.files.items())
            for number, line in enumerate(text.splitlines(), 1)
            if pattern in line
        ]


class Shell(Folder):
    """The same with commands."""

    def execute(self, command: str, timeout: float | None = None) -> Response:
        self.commands.append(command)
        if command == "slow":
            raise OutOfTimeError("too slow")
        if command == "huge":
            return Response("a lot", truncated=True)
        if command == "false":
            return Response("", 1)
        return Response(f"ran {command}\n")


class AsyncShell:
    """The same, asynchronous."""

    def __init__(self) -> None:
        self.inner = Shell()

    async def read(self, path: str, offset: int = 0, limit: int = 2000) -> str:
        return self.inner.read(path, offset, limit)

    async def execute(self, command: str, timeout: float | None = None) -> Response:
        return self.inner.execute(command, timeout)
