"""The API served on real sockets over services in memory, with clients of both roles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deepd.client.async_ import AsyncClient
from deepd.client.sync import Client
from deepd.server.app import build_app
from deepd.server.limits import Limits
from deepd.server.serve import serve
from tests.daemon.api_services import World


class Api:
    """One served API."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.spool = folder / "spool"
        self.spool.mkdir()
        self.limits = limits
        self.world = World(self.spool, limits)
        self.operator_socket = folder / "deepd.sock"
        self.agent_socket = folder / "agent.sock"
        self.operator = AsyncClient(self.operator_socket, name="tester", timeout=20)
        self.agent = AsyncClient(self.agent_socket, name="planner-7", timeout=20)
        self.sync = Client(self.operator_socket, name="tester", timeout=20)

    async def raw(self, request: bytes, *, role: str = "operator") -> bytes:
        """Send bytes as they are; return all that comes until the connection is closed."""
        path = self.operator_socket if role == "operator" else self.agent_socket
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(request)
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def served(folder: Path, limits: Limits | None = None) -> AsyncIterator[Api]:
    """Serve for the length of a block."""
    api = Api(folder, limits or Limits())
    app = build_app(api.world.services)
    async with serve(app, api.operator_socket, api.agent_socket, limits=api.limits):
        try:
            yield api
        finally:
            api.operator.close()
            api.agent.close()
            api.sync.close()
