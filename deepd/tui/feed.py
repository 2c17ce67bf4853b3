"""Feed: follows the daemon's events, reads its state again when there are any, reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from deepd.client.async_ import AsyncClient
from deepd.errors import DeepdError, GoneError, NotFoundError
from deepd.tui.world import Json, World, joined

PATIENCE = 10.0
"""Seconds that the daemon may be silent before it counts as gone."""
_HISTORY = 500
"""Events that are read of what was before."""
_GATHER = 0.05
"""Seconds between two looks, so that a burst of events is one look."""
_RESYNC = 2.0
"""Seconds after which it looks without an event: some of what is shown changes by itself."""
_RETRY = (0.2, 2.0)
_CALLS = 200
_MEASURED = frozenset({"ready", "busy", "held"})


class Feed:
    """Keeps a `World` true and shows every change of it; one task."""

    def __init__(self, client: AsyncClient, show: Callable[[World], None]) -> None:
        self._client = client
        self._show = show
        self._wake = asyncio.Event()
        self._fresh: list[Json] = []
        self._position: int | None = None
        self._instance = ""
        self.world = World()

    def wake(self) -> None:
        """Look again soon."""
        self._wake.set()

    async def run(self) -> None:
        """Follow until cancelled; a daemon that goes away is waited for."""
        pause, most = _RETRY
        while True:
            try:
                await self._attach()
            except* (DeepdError, OSError, TimeoutError) as group:
                if self.world.connected:
                    pause = _RETRY[0]
                self._tell(connected=False, trouble=_trouble(group))
            await asyncio.sleep(pause)
            pause = min(most, pause * 1.5)

    async def _attach(self) -> None:
        await self._look()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="feed:events")
            tasks.create_task(self._keep_looking(), name="feed:look")
            tasks.create_task(self._measure(), name="feed:stats")

    async def _look(self) -> None:
        async with asyncio.timeout(PATIENCE):
            info = await self._client.info()
            sessions, approvals, calls = await asyncio.gather(
                self._client.sessions(), self._client.approvals(), self._client.calls(limit=_CALLS)
            )
        if info["instance"] != self._instance:
            # Another state folder: its events have nothing to do with those that we have.
            self._instance, self._position = info["instance"], None
            self.world = replace(self.world, events=())
        if self._position is None:
            self._position = max(0, info["last_event"] - _HISTORY)
        fresh, self._fresh = self._fresh, []
        self._tell(
            connected=True,
            loaded=True,
            trouble="",
            info=info,
            sessions=sessions,
            approvals=approvals,
            calls=calls,
            events=joined(self.world.events, fresh),
        )

    async def _follow(self) -> None:
        """Take events as they come; end with an error when the daemon does."""
        while True:
            try:
                async with aclosing(self._client.events(self._position, follow=True)) as events:
                    async for event in events:
                        self._take(event)
                        if event["kind"] == "dropped":
                            break
                    else:
                        raise ConnectionError("the daemon closed the stream of events")
            except GoneError:
                # They are not kept so long; what is true now has been read.
                self._position = self.world.info["last_event"]

    def _take(self, event: Json) -> None:
        if event["kind"] == "dropped":
            self._position = event["resume_after"]
            return
        self._position = event["id"]
        self._fresh.append(event)
        self._wake.set()

    async def _keep_looking(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_RESYNC):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._look()
            await asyncio.sleep(_GATHER)

    async def _measure(self) -> None:
        while True:
            names = [item["name"] for item in self.world.sessions if item["state"] in _MEASURED]
            found = await asyncio.gather(*(self._stats(name) for name in names))
            self._tell(stats={name: row for name, row in zip(names, found, strict=True) if row})
            await asyncio.sleep(_RESYNC)

    async def _stats(self, name: str) -> Json | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._client.stats(name)
        except (DeepdError, TimeoutError) as error:
            if isinstance(error, NotFoundError | TimeoutError) or error.code != "daemon-down":
                return None
            raise

    def _tell(self, **changed: Any) -> None:
        self.world = replace(self.world, **changed)
        self._show(self.world)


def _trouble(group: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError) and not isinstance(error, DeepdError):
        return f"the daemon did not answer within {PATIENCE:g} s"
    if isinstance(error, DeepdError) and error.next_step:
        return f"{error.detail}; next: {error.next_step}"
    return str(error)
