"""Live: a sandbox whose guest answers; the roster: all of them, by container."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepd.engine.base import ByteStream, Engine
from deepd.errors import EngineTimeoutError, ProtocolError
from deepd.guest.connection import Guest
from deepd.model.ids import ContainerId
from deepd.model.sandbox import Sandbox as Observed
from deepd.sandbox.owner import OwnerLock
from deepd.sandbox.sandbox import Sandbox


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """A sandbox that is attached now."""

    sandbox: Sandbox
    guest: Guest
    container: ContainerId
    image: str
    """The image's digest."""


@dataclass(frozen=True, slots=True)
class _Entry:
    live: Live
    lock: OwnerLock
    watcher: asyncio.Task[None]


class Roster:
    """Holds the stream, and the owner's lock, of every sandbox that is attached."""

    def __init__(self, engine: Engine, owners: Path, on_end: Callable[[ContainerId], None]) -> None:
        self._engine = engine
        self._owners = owners
        self._on_end = on_end
        self._entries: dict[ContainerId, _Entry] = {}

    def get(self, container: ContainerId | None) -> Live | None:
        """Return an attached sandbox whose stream has not ended."""
        entry = self._entries.get(container) if container else None
        return None if entry is None or entry.live.guest.closed else entry.live

    def all(self) -> list[Live]:
        """Return every sandbox that is attached."""
        return [entry.live for entry in self._entries.values() if not entry.live.guest.closed]

    async def attach(self, observed: Observed, work_dir: str, lease: float | None) -> Live:
        """Take the lock, open the stream and say hello.

        A guest that is silent is `ProtocolError`, other than an engine that is.
        """
        await self.detach(observed.id)
        lock = OwnerLock(self._owners, observed.id)
        lock.acquire()
        try:
            stream = await self._engine.open(observed.id)
            guest = await _greet(stream, lease)
        except BaseException:
            lock.release()
            raise
        live = Live(Sandbox(guest, work_dir=work_dir), guest, observed.id, observed.image)
        watcher = asyncio.create_task(self._watch(live), name=f"stream of {observed.name}")
        self._entries[observed.id] = _Entry(live, lock, watcher)
        return live

    async def detach(self, container: ContainerId) -> None:
        """Let go of a sandbox; its guest goes on with what it does."""
        if entry := self._entries.pop(container, None):
            entry.watcher.cancel()
            try:
                await entry.live.guest.aclose()
            finally:
                entry.lock.release()

    async def aclose(self) -> None:
        """Let go of all."""
        for container in list(self._entries):
            await self.detach(container)

    async def _watch(self, live: Live) -> None:
        await live.guest.wait_closed()
        self._on_end(live.container)


async def _greet(stream: ByteStream, lease: float | None) -> Guest:
    try:
        return await Guest.connect(stream, lease=lease)
    except EngineTimeoutError as error:
        raise ProtocolError(error.detail, next_step=error.next_step) from error
