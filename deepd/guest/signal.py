"""Signal: wakes those who wait for a change, in the very next turn of the loop."""

from __future__ import annotations

import asyncio


class Signal:
    """Says only that something changed; who wakes looks for himself."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    def set(self) -> None:
        """Wake everybody who waits now."""
        if self._waiters:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()

    async def wait(self) -> None:
        """Wait for the next `set()`."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            # A waiter that was cancelled is still listed when nothing was set since.
            if waiter.cancelled() and waiter in self._waiters:
                self._waiters.remove(waiter)
