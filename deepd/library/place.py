"""Place: where the operations of a backend are carried out; here, over a guest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from typing import Protocol, TypeAlias

from deepd.errors import ArgumentsError, CallTimeoutError
from deepd.guest.requests import Execute, How
from deepd.library.results import ExecuteResponse
from deepd.model.duration import render_duration, render_size
from deepd.model.files import FileStat, Match
from deepd.model.profile import Limits
from deepd.sandbox.execute import ExecResult
from deepd.sandbox.sandbox import Sandbox

AnyPath: TypeAlias = str | os.PathLike[str]
"""A path in a sandbox, as a text or as `pathlib` has it."""

MAX_TIMEOUT = 4_000_000.0
"""Seconds, 46 days: the most that fits on the wire."""
_PATIENCE = 10.0
"""Seconds after a command's time is up in which its sandbox must say so."""


class Place(Protocol):
    """A sandbox that is ready now; whatever fails is raised as a `DeepdError`."""

    async def execute(self, command: str, timeout: float | None) -> ExecuteResponse: ...

    def stream(self, path: str) -> AsyncIterator[bytes]: ...

    async def read(self, path: str) -> bytes: ...

    async def write(self, path: str, data: bytes) -> str:
        """Return the absolute path."""
        ...

    async def edit(
        self, path: str, old: str, new: str, *, replace_all: bool
    ) -> tuple[str, int]: ...

    async def exists(self, path: str) -> bool: ...

    async def ls(self, path: str) -> list[FileStat]: ...

    async def glob(self, pattern: str, path: str) -> list[FileStat]: ...

    async def grep(
        self, pattern: str, path: str, *, glob: str | None, ignore_hidden: bool
    ) -> list[Match]: ...


class GuestPlace:
    """A sandbox whose guest is attached to this process."""

    def __init__(self, sandbox: Sandbox, limits: Limits, env: Mapping[str, str]) -> None:
        self._sandbox = sandbox
        self._limits = limits
        self._env = env

    async def execute(self, command: str, timeout: float | None) -> ExecuteResponse:
        request = Execute(  # noqa: S604 - in the sandbox, which is there to run it
            args=(checked_command(command),),
            shell=True,
            env=self._env,
            timeout=checked_timeout(timeout),
            output_kill=self._limits.output_kill,
        )
        patience = None if timeout is None else timeout + _PATIENCE
        try:
            async with asyncio.timeout(patience):
                result = await self._sandbox.execute(request, keep=self._limits.output)
        except TimeoutError:
            raise CallTimeoutError(
                f"the sandbox does not answer, {_PATIENCE:g} s after the command's time was up",
                next_step="it may be paused, or its engine stuck: look with `docker ps`",
            ) from None
        return self._response(result, timeout)

    def _response(self, result: ExecResult, timeout: float | None) -> ExecuteResponse:
        end = result.exit
        if end.how is How.TIMED_OUT and timeout is not None:
            raise CallTimeoutError(
                f"the command ran longer than {render_duration(timeout)} and was ended",
                next_step="give it a longer timeout",
                output=result.output,
            )
        stderr = result.stderr.decode(errors="replace")
        note = self._note(result)
        return ExecuteResponse(
            output=result.output.decode(errors="replace") + note,
            exit_code=end.code,
            truncated=result.truncated or end.how is How.OUTPUT,
            stdout=result.stdout.decode(errors="replace"),
            stderr=stderr + note,
            duration=end.wall,
        )

    def _note(self, result: ExecResult) -> str:
        """Return what the command could not say itself."""
        match result.exit.how:
            case How.NOT_STARTED:
                return f"the command could not be started: {result.exit.note or 'no such program'}"
            case How.OUTPUT:
                return f"\n[ended: it printed more than {render_size(self._limits.output_kill)}]"
            case _:
                return ""

    def stream(self, path: str) -> AsyncIterator[bytes]:
        return self._sandbox.stream(path)

    async def read(self, path: str) -> bytes:
        return await self._sandbox.read(path)

    async def write(self, path: str, data: bytes) -> str:
        await self._sandbox.write(path, data)
        return self._sandbox.absolute(path)

    async def edit(self, path: str, old: str, new: str, *, replace_all: bool) -> tuple[str, int]:
        count = await self._sandbox.edit(path, old, new, replace_all)
        return self._sandbox.absolute(path), count

    async def exists(self, path: str) -> bool:
        return await self._sandbox.exists(path)

    async def ls(self, path: str) -> list[FileStat]:
        return await self._sandbox.ls(path)

    async def glob(self, pattern: str, path: str) -> list[FileStat]:
        return await self._sandbox.glob(pattern, path)

    async def grep(
        self, pattern: str, path: str, *, glob: str | None, ignore_hidden: bool
    ) -> list[Match]:
        return await self._sandbox.grep(pattern, path, glob=glob, ignore_hidden=ignore_hidden)


def checked_path(path: AnyPath) -> str:
    """Return a path as a text, or raise `ArgumentsError`."""
    text = os.fspath(path) if isinstance(path, str | bytes | os.PathLike) else path
    if isinstance(text, bytes):
        raise ArgumentsError("the path must be a text, not bytes", next_step="os.fsdecode(path)")
    if not isinstance(text, str):
        raise ArgumentsError(f"the path must be a text, not {type(path).__name__}")
    return text


def checked_command(command: str) -> str:
    """Return a command that can be run, or raise `ArgumentsError`."""
    if not isinstance(command, str):
        raise ArgumentsError("the command must be a text; join a list with `shlex.join`")
    if not command.strip() or "\0" in command:
        raise ArgumentsError("the command is empty or has a NUL character")
    return command


def checked_timeout(timeout: float | None) -> float | None:
    """Return a timeout in seconds, or raise `ArgumentsError`."""
    if timeout is None:
        return None
    if not isinstance(timeout, int | float) or not 0 < timeout <= MAX_TIMEOUT:
        raise ArgumentsError(
            f"the timeout must be a number of seconds, more than 0 and at most {MAX_TIMEOUT:,.0f}",
            next_step="leave it out to let the command run for as long as it takes",
        )
    return timeout
