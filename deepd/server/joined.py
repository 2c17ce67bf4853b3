"""Joined: a connection that can make one write of several, so that its reader wakes up once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Joined:
    """A transport, and the way to hold what is written to it until all of it is there."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held: list[bytes] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @contextmanager
    def as_one(self) -> Iterator[None]:
        """Hold what is written in the block, and write it at its end."""
        self._held = []
        try:
            yield
        finally:
            self._let_go()

    def write(self, data: bytes) -> None:
        """Write, or keep it for the one write."""
        if self._held is None:
            self._transport.write(data)
        else:
            self._held.append(data)

    def close(self) -> None:
        """Close when all that was written has gone out."""
        self._let_go()
        self._transport.close()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held:
            self._transport.writelines(held)
