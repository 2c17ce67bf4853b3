"""The console tools as a toolset of pydantic-ai's, over whatever backend the run has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.tools import Tool, ToolDefinition
from pydantic_ai.toolsets import FunctionToolset

from deepd.errors import (
    DaemonDownError,
    DeepdError,
    EngineDownError,
    EngineRefusedError,
    SandboxStopped,
)
from deepd.integrations.pydantic_ai import text
from deepd.integrations.pydantic_ai.backend import can_execute, find_backend, use

_HOPELESS = (DaemonDownError, EngineDownError, EngineRefusedError, SandboxStopped)
"""Errors that no other call of a model's would mend: they end the run."""
_READ_LINES = 2000


def create_console_toolset(
    *, backend: Any = None, include_execute: bool | None = None
) -> FunctionToolset[Any]:
    """Return ls, read_file, write_file, edit_file, glob, grep and execute as a toolset.

    The tools work on `ctx.deps.backend`, or on `backend` where the run has none. `execute` is
    there when the run's backend has it; `include_execute=False` leaves it out, and `True` offers
    it in any case. What fails is told to the model as the tool's result; an engine or a daemon
    that is down, and a sandbox that was stopped, end the run with their error.
    """
    tools = _Console(backend, include_execute)
    functions: list[Tool[Any]] = [
        Tool(tools.ls, takes_ctx=True),
        Tool(tools.read_file, takes_ctx=True),
        Tool(tools.write_file, takes_ctx=True),
        Tool(tools.edit_file, takes_ctx=True),
        Tool(tools.glob, takes_ctx=True),
        Tool(tools.grep, takes_ctx=True),
    ]
    if include_execute is not False:
        functions.append(Tool(tools.execute, takes_ctx=True, prepare=tools.prepare_execute))
    return FunctionToolset(functions, id="deepd-console")


class _Console:
    """The tools; what their docstrings say is what a model reads."""

    def __init__(self, backend: Any, include_execute: bool | None) -> None:  # noqa: FBT001 - three values
        self._backend = backend
        self._include_execute = include_execute

    async def prepare_execute(
        self, ctx: RunContext[Any], definition: ToolDefinition
    ) -> ToolDefinition | None:
        """Offer `execute` only where it works, unless it was asked for."""
        if self._include_execute:
            return definition
        return definition if can_execute(find_backend(ctx, self._backend)) else None

    async def ls(self, ctx: RunContext[Any], path: str = ".") -> str:
        """List a folder: one entry a line, folders end with a slash.

        Args:
            path: The folder; relative paths begin at the working folder.
        """
        return text.entries(await self._use(ctx, "ls_info", path))

    async def read_file(
        self, ctx: RunContext[Any], path: str, offset: int = 0, limit: int = _READ_LINES
    ) -> str:
        """Read a text file, or a part of it.

        Args:
            path: The file.
            offset: How many lines to leave out at the beginning.
            limit: How many lines to return at most.
        """
        return str(await self._use(ctx, "read", path, offset, limit))

    async def write_file(self, ctx: RunContext[Any], path: str, content: str) -> str:
        """Write a file, in place of what was there. Missing folders are made.

        Args:
            path: The file.
            content: All that the file shall contain.
        """
        result = await self._use(ctx, "write", path, content)
        _check(result)
        return f"Wrote {text.field(result, 'path') or path}"

    async def edit_file(
        self,
        ctx: RunContext[Any],
        path: str,
        old: str,
        new: str,
        replace_all: bool = False,  # noqa: FBT001, FBT002 - a model names its arguments
    ) -> str:
        """Replace a text in a file. It must be there exactly once, unless `replace_all`.

        Args:
            path: The file.
            old: The text as it is now, with enough around it to be found only once.
            new: What shall stand there instead.
            replace_all: Replace it wherever it is.
        """
        result = await self._use(ctx, "edit", path, old, new, replace_all)
        _check(result)
        count = text.field(result, "occurrences") or 1
        places = "place" if count == 1 else "places"
        return f"Edited {text.field(result, 'path') or path} in {count} {places}"

    async def glob(self, ctx: RunContext[Any], pattern: str, path: str = ".") -> str:
        """Find files by name: `*.py` in one folder, `**/*.py` at any depth.

        Args:
            pattern: The names to find.
            path: The folder to begin in.
        """
        return text.entries(await self._use(ctx, "glob_info", pattern, path))

    async def grep(
        self,
        ctx: RunContext[Any],
        pattern: str,
        path: str | None = None,
        glob: str | None = None,
        ignore_hidden: bool = True,  # noqa: FBT001, FBT002 - a model names its arguments
    ) -> str:
        """Find lines by a regular expression, in a file or in all files below a folder.

        Args:
            pattern: The regular expression (RE2: no look-around, no back-references).
            path: The file or folder; the working folder when left out.
            glob: Only files whose names match, such as `*.py`.
            ignore_hidden: Leave out files and folders whose names begin with a dot.
        """
        return text.matches(await self._use(ctx, "grep_raw", pattern, path, glob, ignore_hidden))

    async def execute(
        self, ctx: RunContext[Any], command: str, timeout: float | None = None
    ) -> str:
        """Run a shell command and return what it printed, and its exit code where it is not 0.

        Args:
            command: The command, for a shell, in the working folder.
            timeout: Seconds after which it is killed, with all that it started.
        """
        backend = find_backend(ctx, self._backend)
        if not can_execute(backend):
            raise ToolFailed("Error: this backend runs no commands")

        async def run() -> str:
            try:
                return text.executed(await use(backend, "execute", command, timeout))
            except TimeoutError as error:
                return text.timed_out(error, timeout)

        return str(await _told(run))

    async def _use(self, ctx: RunContext[Any], method: str, *args: Any) -> Any:
        backend = find_backend(ctx, self._backend)
        return await _told(lambda: use(backend, method, *args))


async def _told(operation: Callable[[], Awaitable[Any]]) -> Any:
    """Turn what a model can do something about into a failed result that it reads."""
    try:
        return await operation()
    except _HOPELESS:
        raise
    except (DeepdError, OSError, ValueError) as error:
        raise ToolFailed(text.failed(error)) from error


def _check(result: Any) -> None:
    if error := text.field(result, "error"):
        raise ToolFailed(f"Error: {error}")
