"""One connection: who is at its other end, and how slow and how long it may be."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, cast

from deepd.errors import BadRequestError, DeepdError, ForbiddenError, LimitError
from deepd.model.caller import Role
from deepd.server.connection import STATUS_LINE, HttpToolsProtocol
from deepd.server.joined import Joined
from deepd.server.limits import Limits
from deepd.wire.encode import encode
from deepd.wire.problems import CONTENT_TYPE, status_of, to_problem

if TYPE_CHECKING:
    from deepd.server.connection import Config, ServerState

_CREDENTIALS = struct.Struct("iII")
_MAX_PIPELINED = 16


class Peer:
    """The other end of a connection; in the scope's state for every request on it."""

    __slots__ = ("is_gone", "joined", "pid", "role", "uid", "waiting")

    def __init__(self, uid: int, pid: int, role: Role, joined: Joined) -> None:
        self.joined = joined
        self.uid = uid
        self.pid = pid
        self.role = role
        self.is_gone = False
        self.waiting: set[asyncio.Task[Any]] = set()
        """Tasks that wait only on behalf of this peer: cancelled when it goes away."""


class ApiProtocol(HttpToolsProtocol):
    """uvicorn's HTTP connection with our limits; one subclass per socket says the role."""

    role: Role = "agent"
    limits = Limits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._in_head = False
        """Whether a part of a header has come."""
        self._in_body = False
        self._head_size = 0
        self._steps = 0
        """Headers and bodies that came to their end."""
        self._peer: Peer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        joined = Joined(transport)
        self.transport = cast("asyncio.Transport", joined)
        uid, pid = _credentials(transport)
        if uid not in {os.geteuid(), 0}:
            self._refuse(ForbiddenError("this socket belongs to another user"))
        elif len(self.connections) > self.limits.connections:
            self._refuse(
                LimitError(
                    f"more than {self.limits.connections} connections are open",
                    next_step="close some, or share one client",
                )
            )
        else:
            self._peer = Peer(uid, pid, self.role, joined)
            # Websockets get it too: uvicorn hands this dict on to their protocol.
            self.app_state = {**self.app_state, "peer": self._peer}
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._stalled is not None:
            self._stalled.cancel()
        if self._peer is not None:
            self._peer.is_gone = True
            for task in tuple(self._peer.waiting):
                task.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.parser is None or self.transport.is_closing():
            return
        before = self._steps
        super().data_received(data)
        if self._in_body or not (self._in_head or self._steps == before):
            return
        # A header is not over yet: its time runs from its first byte.
        if self._deadline is None:
            self._expect_head()
        if self._steps == before:
            self._head_size += len(data)
            if self._head_size > self.limits.head:
                self._refuse(BadRequestError(f"the header is over {self.limits.head} bytes"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._in_body = True
        self._head_size = 0
        self._steps += 1
        self._disarm()
        super().on_headers_complete()
        if len(self.pipeline) > _MAX_PIPELINED:
            self._refuse(LimitError(f"more than {_MAX_PIPELINED} requests wait on one connection"))

    def on_message_complete(self) -> None:
        super().on_message_complete()
        # For `read_bytes()`: an extension of the scope that ASGI's own types do not know.
        cast("dict[str, Any]", self.scope)["deepd.whole"] = True
        self._in_body = False
        self._steps += 1

    def on_response_complete(self) -> None:
        if self.cycle is not None and self.cycle.more_body and not self.pipeline:
            # Answered before all of it came (too large, not allowed): the rest is not wanted.
            self.transport.close()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.stalled, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def handle_websocket_upgrade(self) -> None:
        self._disarm()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequestError(msg, next_step="speak HTTP/1.1"))

    def _expect_head(self) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(self.limits.head_seconds, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._refuse(
            BadRequestError(f"no whole header within {self.limits.head_seconds:g} s"), status=408
        )

    def _refuse(self, error: DeepdError, *, status: int | None = None) -> None:
        """Answer on behalf of an application that never sees the request, and close."""
        self._disarm()
        if self.transport.is_closing():
            return
        code = status or status_of(error)
        body = encode({**to_problem(error), "status": code})
        self.transport.write(
            STATUS_LINE[code]
            + f"content-type: {CONTENT_TYPE}\r\ncontent-length: {len(body)}\r\n".encode()
            + b"connection: close\r\n\r\n"
            + body
        )
        self.transport.close()


def _credentials(transport: asyncio.Transport) -> tuple[int, int]:
    """Return the peer's uid and pid as the kernel knows them; nobody's where it does not."""
    peer = transport.get_extra_info("socket")
    if peer is None:
        return -1, 0
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return uid, pid
