"""Bell: wakes those who wait for something to change about a session."""

from __future__ import annotations

import asyncio

from deepd.model.ids import SessionName


class Bell:
    """Rings tell nothing: who waits looks again, and waits on."""

    def __init__(self) -> None:
        self._events: dict[SessionName, asyncio.Event] = {}

    def ring(self, name: SessionName) -> None:
        """Wake who waits for this session."""
        if event := self._events.pop(name, None):
            event.set()

    def ring_all(self) -> None:
        """Wake everybody."""
        for name in list(self._events):
            self.ring(name)

    async def wait(self, name: SessionName, seconds: float) -> bool:
        """Wait for a ring, for so long at most; tell whether there was one."""
        event = self._events.setdefault(name, asyncio.Event())
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await event.wait()
        except TimeoutError:
            return False
        return True
