"""Wait for a condition, not for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def eventually(
    condition: Callable[[], object], *, within: float = 30.0, every: float = 0.01
) -> None:
    """Return as soon as the condition holds; fail with its last value when it does not in time."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {value!r} after {within} s")
        await asyncio.sleep(every)


def eventually_sync(condition: Callable[[], object], *, within: float = 30.0) -> None:
    """Do the same in a test without an event loop."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {value!r} after {within} s")
        time.sleep(0.01)
