"""One command of a workspace: followed to its end, and ended when nobody waits any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import anyio
from pydantic_ai.workspaces import CommandResult, WorkspaceOutputLimitError

from deepd.client.async_ import AsyncClient
from deepd.errors import DaemonDownError, DeepdError
from deepd.integrations.pydantic_ai.trouble import of_call
from deepd.wire.problems import from_problem

_ENDING = 5.0
"""Seconds that a cancelled caller is kept while its command is ended."""
_STREAMS = {1: "stdout", 2: "stderr"}


class Command:
    """Runs once: `await Command(client, session).run(...)`."""

    def __init__(self, client: AsyncClient, session: str) -> None:
        self._client = client
        self._session = session
        self._id: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._printed: dict[str, list[bytes]] = {"stdout": [], "stderr": []}

    async def run(
        self,
        command: str | list[str],
        env: Mapping[str, str] | None,
        timeout: float | None,
    ) -> CommandResult:
        """Return how it ended; a cancelled caller takes the command and its children along."""
        following = asyncio.create_task(self._follow(command, dict(env or {}), timeout))
        try:
            call = await asyncio.shield(following)
        except asyncio.CancelledError:
            with anyio.move_on_after(_ENDING, shield=True):
                await self._cancel(following)
            # The run may have closed its connections already, before this one was given back.
            self._client.close()
            raise
        finally:
            following.cancel()
        return self._result(call)

    async def _follow(
        self, command: str | list[str], env: dict[str, str], timeout: float | None
    ) -> dict[str, Any]:
        lines = self._client.exec_stream(self._session, command, env=env, timeout=timeout)
        async with aclosing(lines):
            async for line in lines:
                match line["kind"]:
                    case "call":
                        self._id.set_result(line["call"]["id"])
                    case "output":
                        self._printed[_STREAMS[line["stream"]]].append(line["data"])
                    case "end":
                        call: dict[str, Any] = line["call"]
                        return call
                    case "error":
                        raise from_problem(line["error"])
                    case _:
                        pass  # that it is held, and still is
        raise DaemonDownError(
            "the daemon ended the command's stream before the command",
            next_step="the command may go on: see `deepd ps`",
        )

    async def _cancel(self, following: asyncio.Task[Any]) -> None:
        """End the call, also one that is only just being submitted."""
        await asyncio.wait({following, self._id}, return_when=asyncio.FIRST_COMPLETED)
        if self._id.done() and not following.done():
            with contextlib.suppress(DeepdError):
                await self._client.cancel(self._id.result(), "the agent's run was cancelled")

    def _result(self, call: dict[str, Any]) -> CommandResult:
        stdout, stderr = (
            b"".join(self._printed[name]).decode(errors="replace") for name in ("stdout", "stderr")
        )
        if (error := of_call(call, stdout, stderr)) is not None:
            raise error
        if call["truncated"]:
            raise WorkspaceOutputLimitError(
                f"the command printed {call['output_size']} bytes, more than is kept of one",
                limit=len(stdout) + len(stderr),
                stdout=stdout,
                stderr=stderr,
            )
        return CommandResult(exit_code=call["exit_code"], stdout=stdout, stderr=stderr)
