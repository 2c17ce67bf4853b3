"""Release: the guest may forget a call once its end is stored; told a little later, in one go."""

from __future__ import annotations

import asyncio

from deepd.daemon.attachment import Sessions
from deepd.daemon.files import CHANGING
from deepd.guest.connection import Guest
from deepd.model.call import Call
from deepd.sandbox.edit import attempt_id

MAX_ATTEMPTS = 5
"""How often an edit writes at most; each time under an id of its own."""
_AFTER = 0.5
"""Seconds, in which mostly none is waited for."""
_AT = 64
"""So many ended calls wait for no time."""


class Releases:
    """Ended calls that their guests still keep."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._calls: list[Call] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: Call) -> None:
        """Let the guest forget the call a little later: the caller need not wait for that."""
        self._calls.append(call)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_AFTER, self._send)
        if len(self._calls) >= _AT:
            self._send()

    def _send(self) -> None:
        calls, self._calls = self._calls, []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for call in calls:
            live = self._sessions.live(call.session)
            if live is not None and live.container == call.container:
                release(live.guest, call)


def release(guest: Guest, call: Call) -> None:
    """Let the guest forget a call that is stored, and what it wrote under."""
    if call.tool == "execute" or call.tool in CHANGING:
        guest.release(call.id)
    if call.tool == "edit_file":
        for attempt in range(1, MAX_ATTEMPTS):
            guest.release(attempt_id(call.id, attempt))
