"""Door: the one way to a blocking call, with a deadline that the call itself cannot miss."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from deepd.errors import EngineTimeoutError

T = TypeVar("T")


class Door:
    """Runs each blocking call in a daemon thread of its own.

    A thread costs 60 us beside the milliseconds of an engine's call. A hung one needs no
    replacing, and it does not keep the process from ending as an executor's would.
    """

    def __init__(self, *, at_once: int) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def call(self, function: Callable[[], T], *, within: float, doing: str) -> T:
        """Return what the function returns; after `within` s it is left behind, still running."""
        try:
            async with asyncio.timeout(within):
                return await self._run(function, doing)
        except TimeoutError:
            raise EngineTimeoutError(
                f"{doing}: the engine did not answer within {within:g} s; it may still do it",
                next_step="look at the engine's own log; deepd looks again by itself",
            ) from None

    async def wait_until_idle(self, within: float) -> bool:
        """Wait for calls that were left behind; tell whether all of them have come to an end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._idle.wait()
        return self._running == 0

    async def _run(self, function: Callable[[], T], doing: str) -> T:
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        self._running += 1
        self._idle.clear()

        def finish(result: T | None, error: BaseException | None) -> None:
            self._places.release()
            self._running -= 1
            if self._running == 0:
                self._idle.set()
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type] # T may be None itself

        def work() -> None:
            result, fault = None, None
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
                fault = error
            # The loop may be closed: then nobody waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, result, fault)

        threading.Thread(target=work, name=f"engine: {doing}", daemon=True).start()
        return await future
