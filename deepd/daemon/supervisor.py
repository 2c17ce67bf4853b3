"""Supervisor: tells whoever started the daemon how it is, as systemd's `sd_notify` has it.

A few bytes to a datagram socket that the environment names; without one nothing is done.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress

from deepd.errors import DeepdError

logger = logging.getLogger(__name__)


class Supervisor:
    """The other end of `NOTIFY_SOCKET`.

    The variables are taken out of the environment: what the daemon starts must not speak for it.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        usec, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        is_ours = not pid or pid == str(os.getpid())
        self.every = int(usec) / 2_000_000 if usec.isdecimal() and int(usec) and is_ours else None
        """Seconds between two pings: half of what the watchdog waits; `None` without one."""

    def ready(self, status: str) -> None:
        """Tell that clients are served from now on."""
        self.tell(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}")

    def stopping(self) -> None:
        """Tell that the end was asked for."""
        self.tell("STOPPING=1\nSTATUS=ending its sandboxes")

    async def ping(self, check: Callable[[], object]) -> None:
        """Ping the watchdog until cancelled, each time only if the check does not raise.

        It runs on the loop that serves: a loop that is stuck pings nobody, and neither does a
        store that does not answer. A full disk is no reason: that one mends itself.
        """
        if self.every is None:
            return
        while True:
            try:
                check()
            except DeepdError as error:
                logger.error("no ping for the watchdog: %s", error)  # noqa: TRY400 - its text says all
            else:
                self.tell("WATCHDOG=1")
            await asyncio.sleep(self.every)

    def tell(self, text: str) -> None:
        """Send one message; whoever does not listen misses it."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.settimeout(0)
            sending.sendto(text.encode(), address)

    def reloading(self) -> None:
        """Tell that the profiles are read again; `ready()` ends it."""
        self.tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
