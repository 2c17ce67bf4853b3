"""Yard: what one event loop has open, so that two objects on one container share its stream."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Protocol

from deepd.engine.docker import DockerEngine
from deepd.engine.endpoint import any_url
from deepd.errors import DeepdError
from deepd.library.machine import Machine
from deepd.library.wish import Wish

logger = logging.getLogger(__name__)


class Stoppable(Protocol):
    """Something that must be ended with its loop."""

    async def stop(self) -> None: ...


class Yard:
    """The machines and engines of one event loop."""

    def __init__(self) -> None:
        self._machines: dict[tuple[str, str], Machine] = {}
        self._engines: dict[tuple[str, str], DockerEngine] = {}
        self._others: set[Stoppable] = set()
        self._ending = self._end_with_loop()

    def begin(self) -> None:
        """Have everything stopped when the running loop is shut down, as `asyncio.run` does.

        A loop closes the asynchronous generators that were begun in it before it closes itself.
        """
        with suppress(StopIteration):
            self._ending.__anext__().send(None)

    async def _end_with_loop(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await self.stop_all()

    def machine(self, wish: Wish) -> Machine:
        """Return the machine of a wish, new or shared; `ConflictError` when they do not agree."""
        found = self._machines.get(wish.key)
        if found is not None:
            found.check_same(wish)
            return found
        place = wish.docker_host, wish.instance
        if place not in self._engines:
            self._engines[place] = DockerEngine(wish.instance, wish.docker_host or any_url())
        machine = Machine(wish, self._engines[place], self._forget)
        self._machines[wish.key] = machine
        return machine

    def keep(self, other: Stoppable) -> None:
        """Have something stopped with the loop."""
        self._others.add(other)

    def drop(self, other: Stoppable) -> None:
        """Note that it was stopped."""
        self._others.discard(other)

    async def stop_all(self) -> None:
        """End everything that is open."""
        everything: list[Stoppable] = [*self._machines.values(), *self._others]
        for error in await asyncio.gather(
            *(one.stop() for one in everything), return_exceptions=True
        ):
            if isinstance(error, DeepdError):
                logger.warning("at the end: %s", error)
            elif isinstance(error, RuntimeError):
                # Python 3.12.0 and .1 make no threads any more by now; the leases see to it.
                logger.info("at the end: %s", error)
            elif error is not None:
                raise error

    def abandon(self) -> None:
        """Give the locks back that a closed loop has left; its containers end by their lease."""
        for machine in self._machines.values():
            if machine.lock is not None:
                machine.lock.release()

    def disown(self) -> None:
        """Leave everything to the process that this one was forked from."""
        for machine in self._machines.values():
            if machine.lock is not None:
                machine.lock.disown()

    async def _forget(self, machine: Machine) -> None:
        if self._machines.get(machine.wish.key) is machine:
            del self._machines[machine.wish.key]
        place = machine.wish.docker_host, machine.wish.instance
        if all((other.docker_host, other.instance) != place for other in self._wishes()):
            engine = self._engines.pop(place, None)
            if engine is not None:
                await engine.aclose()

    def _wishes(self) -> list[Wish]:
        return [machine.wish for machine in self._machines.values()]


_yards: dict[asyncio.AbstractEventLoop, Yard] = {}
_guard = threading.Lock()
_inherited: list[object] = []
"""What a forked child has of its parent's: kept, so that nothing is closed by being collected."""


def yard() -> Yard:
    """Return the running loop's yard."""
    loop = asyncio.get_running_loop()
    with _guard:
        for other in [other for other in _yards if other.is_closed()]:
            _yards.pop(other).abandon()
        if loop not in _yards:
            _yards[loop] = Yard()
            _yards[loop].begin()
        return _yards[loop]


def _after_fork() -> None:
    global _guard  # noqa: PLW0603 - the parent's may be held by a thread that is not here
    _guard = threading.Lock()
    for inherited in _yards.values():
        inherited.disown()
    _inherited.append(dict(_yards))
    _yards.clear()


os.register_at_fork(after_in_child=_after_fork)
