"""Serving: both sockets open, one application behind them, and an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from deepd.model.caller import Role
from deepd.server.connection import Config, HttpToolsProtocol, ServerState
from deepd.server.limits import Limits
from deepd.server.listen import bind
from deepd.server.protocol import ApiProtocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_GRACE = 1.0
"""How long answers under way may take to be sent when the daemon ends."""


@asynccontextmanager
async def serve(
    app: ASGIApp, operator_socket: Path, agent_socket: Path, *, limits: Limits | None = None
) -> AsyncIterator[None]:
    """Answer on both sockets while the block runs; clients may connect from its first line on."""
    bounds = limits or Limits()
    with ExitStack() as names:
        doors: list[_Door] = []
        for role, path in _roles(operator_socket, agent_socket):
            listening = bind(path)
            names.callback(listening.close)
            door = _Door(app, role, bounds)
            doors.append(door)
            door.server = await asyncio.get_running_loop().create_server(
                door.protocol, sock=listening.socket
            )
        try:
            yield
        finally:
            await asyncio.gather(*(door.close() for door in doors))


def _roles(operator: Path, agent: Path) -> tuple[tuple[Role, Path], tuple[Role, Path]]:
    return ("operator", operator), ("agent", agent)


def _websocket(**given: Any) -> asyncio.Protocol:
    """Make a WebSocket's connection; the modules for it are loaded with the first."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import (  # noqa: PLC0415 - as said
        WebSocketsSansIOProtocol,
    )

    return WebSocketsSansIOProtocol(**given)


class _Door:
    """One socket: its role, and the connections that came through it."""

    server: asyncio.Server

    def __init__(self, app: ASGIApp, role: Role, limits: Limits) -> None:
        # uvicorn's own Server is not used: it takes the signals, wakes ten times a second and
        # leaves sockets open to everybody. Its connections are all that is needed.
        self._config = Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            http=HttpToolsProtocol,
            ws=cast("type[asyncio.Protocol]", _websocket),
            ws_max_size=limits.in_memory,
            ws_per_message_deflate=False,
            timeout_keep_alive=limits.keep_alive,
        )
        self._config.load()
        self._state = ServerState()
        self._class = type("Connection", (ApiProtocol,), {"role": role, "limits": limits})

    def protocol(self) -> asyncio.Protocol:
        """Make the protocol of a new connection."""
        connection: asyncio.Protocol = self._class(self._config, self._state, {})
        return connection

    async def close(self) -> None:
        """Take no new requests, let short answers end, cut off what waits."""
        self.server.close()
        for connection in tuple(self._state.connections):
            connection.shutdown()
        if tasks := tuple(self._state.tasks):
            _, late = await asyncio.wait(tasks, timeout=_GRACE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in tuple(self._state.connections):
            if not connection.transport.is_closing():
                connection.transport.close()
