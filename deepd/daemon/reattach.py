"""Reattach: waits until a call's own container is there again, or is known to be gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from deepd.daemon.attachment import Live, Sessions
from deepd.errors import (
    CallLostError,
    ConflictError,
    DeepdError,
    EngineError,
    EngineRefusedError,
    LimitError,
    NotFoundError,
    ProtocolError,
    SandboxError,
    SandboxStopped,
)
from deepd.model.call import Call
from deepd.model.ids import ContainerId, SessionName

logger = logging.getLogger(__name__)

_WITHIN = 30.0
_RETRY = 0.25
_MISSING = 30.0
"""Seconds without its container after which a call of a stopped session is given up."""
_KEPT_CAUSES = 1000


class LostForGoodError(CallLostError):
    """The container, or what its guest knew of the call, does not come back."""


class Reattach:
    """Where calls that were sent wait for the other end of their stream."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._waiting: dict[SessionName, set[asyncio.Future[None]]] = {}
        self._gone: dict[ContainerId, str] = {}
        self._missing_since: dict[str, float] = {}
        self._deaf_since: dict[str, float] = {}
        sessions.on_attached(self._attached)
        sessions.on_gone(self._note_gone)

    async def wait(self, call: Call) -> Live:
        """Return the sandbox that a call was sent to; `LostForGoodError` when it is gone."""
        while True:
            self._check_gone(call)
            live = self._sessions.live(call.session)
            if live is not None and not live.guest.closed:
                self._check_same(call, live)
                return live
            await self._next_word(call)

    async def _next_word(self, call: Call) -> None:
        """Wait for an attach, a removal, or an attempt to get the session ready."""
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(call.session, set())
        waiting.add(heard)
        waking = asyncio.create_task(self._wake(call), name=f"wake:{call.session}")
        try:
            await asyncio.wait({heard, waking}, return_when=asyncio.FIRST_COMPLETED)
            if waking.done() and not heard.done():
                waking.result()
        finally:
            waiting.discard(heard)
            waking.cancel()
            with contextlib.suppress(asyncio.CancelledError, DeepdError):
                await waking

    async def _wake(self, call: Call) -> None:
        """Have the session looked after, and hear whether its sandbox can still come back."""
        try:
            live = await self._sessions.ready(call.session, within=_WITHIN)
            if not live.guest.closed:
                return
        except (SandboxStopped, NotFoundError, ConflictError) as error:
            # Stopped, paused, being removed, or without a profile: its container may still be
            # there, and when it goes that is told.
            self._check_is_there(call, error)
        except ProtocolError as error:
            self._check_deaf(call, error)
        except (EngineRefusedError, SandboxError) as error:
            raise LostForGoodError(f"its sandbox is gone: {error}") from error
        except (EngineError, LimitError) as error:
            logger.info("call %s waits for its sandbox: %s", call.id, error)
        await asyncio.sleep(_RETRY)

    def _check_is_there(self, call: Call, error: DeepdError) -> None:
        """Give a call up when its session is gone, or has had no such container for a while."""
        try:
            container = self._sessions.view(call.session).container
        except NotFoundError:
            raise LostForGoodError("its session was removed") from error
        loop = asyncio.get_running_loop()
        if container == call.container:
            self._missing_since.pop(call.container, None)
        elif loop.time() > self._missing_since.setdefault(call.container, loop.time()) + _MISSING:
            raise LostForGoodError(f"its container is gone: {error}") from error

    def _check_deaf(self, call: Call, error: ProtocolError) -> None:
        """Give a call up when its guest, although it runs, could not be reached twice.

        Once is not enough: where guest and daemon stood still together, only the clock went on.
        """
        now = asyncio.get_running_loop().time()
        if now - self._deaf_since.setdefault(call.container, now) > _WITHIN / 2:
            raise LostForGoodError(f"its sandbox is gone: {error}") from error

    def _attached(self, session: SessionName, live: Live) -> None:
        self._deaf_since.pop(live.container, None)
        self._tell(session)

    def _note_gone(self, session: SessionName, container: ContainerId, cause: str) -> None:
        self._gone[container] = cause
        self._deaf_since.pop(container, None)
        while len(self._gone) > _KEPT_CAUSES:
            del self._gone[next(iter(self._gone))]
        self._tell(session)

    def _tell(self, session: SessionName) -> None:
        for heard in self._waiting.get(session, ()):
            if not heard.done():
                heard.set_result(None)

    def _check_gone(self, call: Call) -> None:
        cause = self._gone.get(ContainerId(call.container))
        if cause is not None:
            raise LostForGoodError(f"its container is gone: {cause}")

    def _check_same(self, call: Call, live: Live) -> None:
        if live.container != call.container:
            raise LostForGoodError("its container was replaced by another while nobody watched")
        if live.guest.info.boot != call.boot:
            raise LostForGoodError("its container was restarted under it")
