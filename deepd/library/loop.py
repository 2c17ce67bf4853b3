"""Loop: the one thread on which a process's synchronous sandboxes are worked."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import logging
import os
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from deepd.errors import SandboxStopped
from deepd.library.yard import yard

logger = logging.getLogger(__name__)

T = TypeVar("T")
_AT_EXIT = 10.0
"""Seconds that ending everything may take when the process ends."""


class _LoopThread:
    """An event loop in a daemon thread; made at the first use, and anew in a forked child."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="deepd", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        if threading.current_thread() is self.thread:
            work.close()
            raise RuntimeError("a synchronous sandbox cannot be used on deepd's own thread")
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def shut_down(self) -> None:
        """Stop what is open, then the thread."""
        try:
            self.submit(_stop_all()).result(_AT_EXIT)
        except TimeoutError:
            logger.warning("not everything ended in time; what is left ends by its lease")
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(_AT_EXIT)
        if not self.thread.is_alive():
            self.loop.close()


async def _stop_all() -> None:
    await yard().stop_all()


_current: _LoopThread | None = None
_has_ended = False
_guard = threading.Lock()
_inherited: list[object] = []


def submit(work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Have the loop thread do it; the future may be waited for or cancelled."""
    global _current  # noqa: PLW0603 - one a process
    with _guard:
        if _has_ended:
            work.close()
            raise SandboxStopped("the program ends, and all its sandboxes with it")
        if _current is None:
            _current = _LoopThread()
            _have_children_end_theirs()
        return _current.submit(work)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Have the loop thread do it and return what comes of it; an interrupt cancels it."""
    future = submit(work)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


async def hand_over(work: Coroutine[Any, Any, T]) -> T:
    """Have the loop thread do it without blocking the running loop."""
    return await asyncio.wrap_future(submit(work))


def has_ended() -> bool:
    """Tell whether the program ends and everything was stopped."""
    return _has_ended


def _at_exit() -> None:
    global _has_ended  # noqa: PLW0603 - one a process
    if _has_ended:
        return
    if _current is not None:
        _current.shut_down()
    _has_ended = True


def _have_children_end_theirs() -> None:
    """Have what multiprocessing forks stop its own at its end: `atexit` does nothing there."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        sys.modules["multiprocessing.util"].Finalize(None, _at_exit, exitpriority=0)


def _after_fork() -> None:
    global _current, _guard
    _inherited.append(_current)
    _current, _guard = None, threading.Lock()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
