"""Alarm: when the next look is due; whoever sets it says when, and never why."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable

SOON = 0.02
"""Seconds from the first who wants a look that can wait. What somebody waits for goes first: a
list, or the container that follows a claimed one, would take the engine's time from it."""


class Alarm:
    """Asked for now, in a moment, or by a time of the clock; the earliest counts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._now = False
        self._by = math.inf
        self._soon: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()

    def now(self) -> None:
        """Ask for a look."""
        self._now = True
        self._changed.set()

    def soon(self) -> None:
        """Ask for a look in a moment; all who ask until then share it."""
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(SOON, self.now)

    def by(self, at: float) -> None:
        """Ask for a look at that time of the clock, if there is none before."""
        if at < self._by:
            self._by = at
            self._changed.set()

    def reset(self) -> None:
        """Forget what was asked for: a look begins, and serves it."""
        self._now, self._by = False, math.inf
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    async def wait(self) -> None:
        """Wait until a look is due; what is asked for meanwhile may make it due sooner."""
        while not self._now and (seconds := self._by - self._clock()) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                    await self._changed.wait()
