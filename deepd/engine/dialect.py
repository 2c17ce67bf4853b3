"""Dialect: how the same things are asked of Docker and of what serves its API in its own way."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from deepd.engine.attach import AttachedStream, attach
from deepd.engine.base import ByteStream
from deepd.engine.docker_client import DockerClient, Server
from deepd.engine.fault import NoContainerError, refused
from deepd.engine.lane import Lane
from deepd.engine.spec import STOP_GRACE, render_limits
from deepd.errors import EngineError
from deepd.model.profile import Limits


class Docker:
    """Docker's own."""

    name = "docker"

    def __init__(self, client: DockerClient, server: Server) -> None:
        self._client = client
        self.server = server

    async def open(self, container: str, lane: Path | None) -> ByteStream:
        """Attach to a guest's stdin and stdout; in the folder `lane` it may be met as well."""
        query = {"stream": "1", "stdin": "1", "stdout": "1", "stderr": "1"}
        return await self._attach(container, query, lane)

    async def stop(self, container: str) -> None:
        """Ask the guest to end, and kill it after a short grace; not running is no error."""
        path, query = f"/containers/{container}/stop", {"t": str(STOP_GRACE)}
        with suppress(NoContainerError):
            await self._client.do("cannot stop the sandbox", "POST", path, query=query)

    async def update(self, container: str, limits: Limits) -> None:
        """Change the limits of a running container."""
        # The SDK's own method knows neither NanoCpus nor PidsLimit.
        path = f"/containers/{container}/update"
        reply = await self._client.ask("POST", path, body=render_limits(limits))
        if reply.status >= 400:
            raise refused(reply.status, reply.message(), doing="cannot change the limits")

    async def measure(self, container: str) -> dict[str, Any]:
        """Return the raw counters of a running container."""
        # The SDK always waits for a second sample, which takes the engine a second or two.
        query = {"stream": "false", "one-shot": "true"}
        reply = await self._client.ask("GET", f"/containers/{container}/stats", query=query)
        if reply.status != 200:
            raise refused(reply.status, reply.message(), doing="cannot measure the sandbox")
        if not reply.body.strip():
            raise EngineError("the sandbox is not running: there is nothing to measure")
        measured: dict[str, Any] = reply.json()
        return measured

    async def lost_limits(self, container: str) -> tuple[str, ...]:  # noqa: ARG002 - others lose some
        """Return the limits that were asked for and do not hold."""
        return ()

    def warnings(self, raw: dict[str, Any]) -> tuple[str, ...]:
        """Return what the engine warns of in its description of itself."""
        return tuple(raw.get("Warnings") or ())

    def runtime(self, raw: dict[str, Any]) -> str:
        """Return the runtime of containers with its version."""
        name = str(raw.get("DefaultRuntime", "")) or "runc"
        return f"{name} {self.server.components.get(name, '')}".strip()

    async def _attach(
        self, container: str, query: dict[str, str], lane: Path | None
    ) -> AttachedStream:
        target = await self._client.target(f"/containers/{container}/attach", query)
        stream = await attach(
            self._client.endpoint, target, container[:12], within=self._client.timeout
        )
        try:
            pid = await self._running_pid(container)
        except BaseException:
            stream.abort()
            raise
        stream.lane = Lane(lane, pid) if lane else None
        return stream

    async def _running_pid(self, container: str) -> int:
        """Return its guest's process id, 0 where the engine does not say.

        Raises for what does not run: the engine attaches to that too, and waits for ever.
        """
        doing = "cannot attach to the sandbox"
        state = (await self._client.inspect(container, doing=doing))["State"]
        if not state["Running"]:
            raise EngineError(f"{doing}: it is not running")
        return int(state.get("Pid") or 0)
