"""Wait for what only the daemon can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(ask: Callable[[], Awaitable[T]], *, within: float = 20.0) -> T:
    """Ask until the answer is true, and return it; fail with the last one when it is late."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not (answer := await ask()):
        assert loop.time() < deadline, f"still {answer!r} after {within} s"
        await asyncio.sleep(0.02)
    return answer
