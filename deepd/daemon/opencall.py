"""OpenCall: what the daemon has in memory of a call that is not over."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Any

from deepd.daemon.collect import Collector
from deepd.errors import DeepdError
from deepd.guest.call import GuestCall
from deepd.model.call import Call
from deepd.model.ids import CallId, SessionName
from deepd.model.sealed import Sealed


class OpenCall:
    """One open call: who waits for it, who drives it, and its end in the guest."""

    def __init__(self, call: Call, *, is_patient: bool) -> None:
        self.id: CallId = call.id
        self.session: SessionName = call.session
        self.is_patient = is_patient
        """Nobody waits at the other end, so an engine that is down is waited for."""
        self.cancel_reason = call.cancel_reason
        self.known: Call | None = None
        """Its row as it was stored last; `None` where something else may have changed it since."""
        self.sealed: Sealed | None = None
        """Its body, where it is in memory since it came; the store has it as well."""
        self._waiters: set[asyncio.Future[Call]] = set()
        self._asking: set[asyncio.Future[Call]] = set()
        self.opened = asyncio.Event()
        """Set while the call can be given input; and at its end."""
        self.guest_call: GuestCall | None = None
        self.collecting = asyncio.Event()
        """Set once there is output to follow; and at its end."""
        self._collector: Collector | None = None
        self.task: asyncio.Task[None] | None = None
        self.may_interrupt = False
        """Whether its task may be cancelled where it waits: nothing of it runs in the sandbox."""
        self._busy: AbstractContextManager[Any] | None = None
        self._has_input = False

    async def wait(self) -> Call:
        """Wait for the stored end; whoever gives up waiting changes nothing for the others."""
        return await _wait_in(self._waiters)

    async def wait_for_answer(self) -> Call:
        """Wait until it is known how the call ended, which may be stored a moment later."""
        return await _wait_in(self._asking)

    @property
    def has_asking(self) -> bool:
        """Whether somebody waits for the answer and not for what is stored."""
        return bool(self._asking)

    def answer(self, call: Call) -> None:
        """Tell those who wait for the answer only."""
        _set_all(self._asking, call)

    def attach(self, guest_call: GuestCall, *, input_is_open: bool) -> None:
        """Note where the call runs; a cancellation that was asked for before is sent now."""
        self.guest_call = guest_call
        self._has_input = input_is_open
        self.opened.set()
        if self.cancel_reason:
            guest_call.kill()

    @property
    def collector(self) -> Collector | None:
        """Where its output goes, once it was sent."""
        return self._collector

    @collector.setter
    def collector(self, collector: Collector) -> None:
        self._collector = collector
        self.collecting.set()

    def detach(self) -> None:
        """Note that the stream to it ended."""
        self.guest_call = None
        self.opened.clear()

    @property
    def takes_input(self) -> bool:
        """Whether the call was started with its input open."""
        return self._has_input

    def keep_busy(self, busy: AbstractContextManager[Any]) -> None:
        """Keep the session busy until the call is over."""
        if self._busy is None:
            busy.__enter__()
            self._busy = busy

    def let_idle(self) -> None:
        """Let the session's idle clock run."""
        if self._busy is not None:
            busy, self._busy = self._busy, None
            busy.__exit__(None, None, None)

    def finish(self, call: Call) -> None:
        """Tell everybody who waits."""
        if self.collector is not None:
            self.collector.end()
        self.guest_call = None
        self.opened.set()
        self.collecting.set()
        self.let_idle()
        _set_all(self._waiters | self._asking, call)

    def fail(self, error: DeepdError) -> None:
        """Tell everybody who waits that there is nothing to tell."""
        for waiter in self._waiters | self._asking:
            if not waiter.done():
                waiter.set_exception(error)
        self.opened.set()
        self.collecting.set()
        self.let_idle()

    def interrupt(self, reason: str) -> None:
        """Cancel it where it is: its tree is killed, or its waiting ends."""
        self.cancel_reason = reason
        self.known = None
        if self.collector is not None:
            self.collector.hurry()
        if self.guest_call is not None:
            self.guest_call.kill()
        elif self.may_interrupt and self.task is not None:
            self.task.cancel()


async def _wait_in(waiters: set[asyncio.Future[Call]]) -> Call:
    waiter: asyncio.Future[Call] = asyncio.get_running_loop().create_future()
    waiters.add(waiter)
    try:
        return await waiter
    finally:
        waiters.discard(waiter)


def _set_all(waiters: set[asyncio.Future[Call]], call: Call) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(call)
