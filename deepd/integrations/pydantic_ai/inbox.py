"""Asking in the daemon's inbox: one question each, however often either side is restarted."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio

from deepd.client.async_ import AsyncClient
from deepd.errors import BadRequestError, DaemonDownError, DeepdError, EngineDownError
from deepd.model.call import TERMINAL
from deepd.model.profile import CONSOLE_TOOLS

FOREIGN = "agent:"
"""In front of a tool that has the name of one of deepd's: it must not run in the sandbox."""
_WAIT = 60.0
_RETRY = 0.25
_MOST_RETRY = 5.0
_TAKING_BACK = 5.0
_OVER = frozenset(str(state) for state in TERMINAL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was decided: the arguments that may run, or why nothing may."""

    args: dict[str, Any] | None
    reason: str = ""


class Inbox:
    """Asks for calls of an agent's own tools, in one session."""

    def __init__(
        self, client: AsyncClient, session: str, profile: str | None, reconnect: float
    ) -> None:
        self._client = client
        self._session = session
        self._options = {} if profile is None else {"profile": profile}
        self._reconnect = reconnect
        self.has_answered = False
        """Whether the daemon was ever there; one that never was is not waited for."""

    async def ask(self, tool: str, args: dict[str, Any], key: str) -> Answer:
        """Return the decision on a call; a cancelled caller takes the call back.

        The same key is the same question, of which the first answer counts for ever.
        """
        name = FOREIGN + tool if tool in CONSOLE_TOOLS else tool
        digest = hashlib.sha256(key.encode()).hexdigest()
        try:
            call = await self._submit(name, args, digest)
        except BadRequestError as error:
            # What cannot be shown to a person cannot be approved by one.
            return Answer(None, f"The call could not be asked for: {error}")
        try:
            while call["state"] not in _OVER:
                call = await self._wait(call["id"])
        except asyncio.CancelledError:
            with (
                anyio.move_on_after(_TAKING_BACK, shield=True),
                contextlib.suppress(DeepdError),
            ):
                await self._client.cancel(call["id"], "the agent's run was cancelled")
            raise
        return _answer(call)

    async def _submit(self, tool: str, args: dict[str, Any], key: str) -> dict[str, Any]:
        return await self._reach(
            lambda: self._client.submit(
                self._session, tool, args, key=key, wait=False, **self._options
            )
        )

    async def _wait(self, call_id: str) -> dict[str, Any]:
        """Return the call after a while, or when it is over."""
        return await self._reach(lambda: self._client.call(call_id, wait=_WAIT))

    async def _reach(self, request: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Return the reply; outlives restarts of the daemon, for requests that may be repeated."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self._reconnect, _RETRY
        while True:
            try:
                reply = await request()
            except (DaemonDownError, EngineDownError):
                if not self.has_answered or loop.time() + pause > deadline:
                    raise
            else:
                self.has_answered = True
                return reply
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MOST_RETRY)


def _answer(call: dict[str, Any]) -> Answer:
    if call["state"] == "finished":
        args: dict[str, Any] = call["result"]["args"]
        return Answer(args)
    reason = str(call["reason"]) or str(call["rule"]) or "no reason was given"
    return Answer(None, f"The call was {call['state']}: {reason}")
