"""EngineStatus: who the engine is, asked again each time it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from deepd.engine.base import Engine, EngineInfo
from deepd.errors import EngineError

ASK_EVERY = 1.0
"""Seconds between two looks at whether the engine has to be asked; asking is once a life of it."""


class EngineStatus:
    """Answers from memory: nobody waits for a stuck engine to be told that it is stuck."""

    def __init__(self, engine: Engine, down: Callable[[], EngineError | None]) -> None:
        self._engine = engine
        self._down = down
        self._info: EngineInfo | None = None
        self._error: EngineError | None = None

    async def run(self) -> None:
        """Keep it true until cancelled."""
        while True:
            if self._down():
                self._info = None
            elif self._info is None:
                await self._ask()
            await asyncio.sleep(ASK_EVERY)

    async def _ask(self) -> None:
        try:
            self._info, self._error = await self._engine.info(), None
        except EngineError as error:
            self._error = error

    def view(self) -> dict[str, Any]:
        """Return its name, endpoint and state (`up`, `down`), and what is known of it or why."""
        error = self._down() or self._error
        info = self._info
        return {
            "name": self._engine.name,
            "endpoint": self._engine.endpoint,
            "state": "down" if error else "up",
            "detail": str(error) if error else "",
            "version": info.version if info else "",
            "isolation": info.isolation if info else "",
            "warnings": info.warnings if info else (),
        }
