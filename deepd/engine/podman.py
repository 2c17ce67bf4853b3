"""Podman: where its Docker API is not Docker's. Everything that is about these differences is here.

- A client that was attached to a container's stdin closes it for ever when it goes, so nobody is:
  a process of the guest, run in the container by `exec`, carries our bytes to it (guest/feed.c).
- `stop` refuses what is paused, and `stats` of what does not run is an empty answer.
- The Docker API has no `update`; Podman's own has, from 4.3 on.
- Rootless on cgroup v1 it drops limits without a word, so they are looked at after a create; there
  it measures the whole machine, and cannot pause.
- It goes on telling the limit of memory that a container was created with.
- It names its runtime and the runtime's version differently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepd.engine.attach import AttachedStream, attach
from deepd.engine.base import GUEST_PATH, ByteStream
from deepd.engine.dialect import Docker
from deepd.engine.docker_client import DockerClient, Server
from deepd.engine.fault import refused
from deepd.errors import EngineRefusedError
from deepd.model.profile import Limits

_FEED = {
    "AttachStdin": True,
    "AttachStdout": True,
    "AttachStderr": True,
    "Privileged": True,  # to open a pipe of PID 1; it drops all of it before it reads a byte
    "User": "0:0",
    "Cmd": [GUEST_PATH, "--feed"],
}
_PERIOD = 100_000
"""Microseconds of which a quota of cpu is a part."""
_LIMITS = {"Memory": "memory", "NanoCpus": "cpus", "PidsLimit": "pids"}
_VERSION = re.compile(r"version ([\w.+~-]+)")


class Podman(Docker):
    """An engine that says it is Podman."""

    name = "podman"

    def __init__(self, client: DockerClient, server: Server) -> None:
        super().__init__(client, server)
        self._changed: dict[str, int] = {}
        """Limits of memory that were changed: it goes on telling those of the create."""

    async def open(self, container: str, lane: Path | None) -> ByteStream:
        """Attach to a guest's stdout, and reach its stdin by another way."""
        query = {"stream": "1", "stdin": "0", "stdout": "1", "stderr": "1"}
        printed = await self._attach(container, query, lane)
        try:
            return TwoWays(printed, await self._feed(container))
        except BaseException:
            await printed.aclose()
            raise

    async def stop(self, container: str) -> None:
        """Thaw it first where it is frozen."""
        state = (await self._state(container)).get("State") or {}
        if state.get("Paused"):
            await self._client.ask("POST", f"/containers/{container}/unpause")
        await super().stop(container)

    async def update(self, container: str, limits: Limits) -> None:
        """Ask by Podman's own API."""
        version = self.server.own_api_version or "4.0.0"
        path = f"/v{version}/libpod/containers/{container}/update"
        reply = await self._client.ask_plainly("POST", path, body=_resources(limits))
        if reply.status == 404 and not await self._state(container):
            raise refused(404, "no such container", doing="cannot change the limits")
        if reply.status in {404, 405}:
            raise EngineRefusedError(
                f"podman {self.server.version} cannot change the limits of what runs",
                next_step="stop the session and start it again, or use podman 4.3 or newer",
            )
        if reply.status >= 400:
            raise refused(reply.status, reply.message(), doing="cannot change the limits")
        self._changed[container] = limits.memory

    async def measure(self, container: str) -> dict[str, Any]:
        """Return the raw counters, with the limit that holds now."""
        raw = await super().measure(container)
        if "memory" in await self.lost_limits(container):
            raise EngineRefusedError(
                "nothing can be measured: podman gave the sandbox no cgroup of its own",
                next_step="use cgroup v2, or podman as root",
            )
        if container in self._changed:
            raw["memory_stats"] = raw.get("memory_stats", {}) | {"limit": self._changed[container]}
        return raw

    async def lost_limits(self, container: str) -> tuple[str, ...]:
        """Return the limits that are not there although every sandbox is created with them."""
        host = (await self._state(container)).get("HostConfig")
        return tuple(name for key, name in _LIMITS.items() if not host.get(key)) if host else ()

    def warnings(self, raw: dict[str, Any]) -> tuple[str, ...]:
        """Add what Podman does not warn of."""
        said = super().warnings(raw)
        if raw.get("Rootless") and str(raw.get("CgroupVersion", "")) == "1":
            return (*said, "rootless on cgroup v1: limits of memory, cpus and pids do not hold")
        return said

    def runtime(self, raw: dict[str, Any]) -> str:
        """Return the runtime of containers, and whether it is root's."""
        name = str(raw.get("DefaultRuntime", "")) or "crun"
        said = self.server.components.get(f"OCI Runtime ({name})", "")
        version = match[1] if (match := _VERSION.search(said)) else ""
        rootless = "rootless, " if raw.get("Rootless") else ""
        return f"{rootless}{name} {version}".strip()

    async def _feed(self, container: str) -> AttachedStream:
        doing = "cannot reach the sandbox's guest"
        reply = await self._client.ask("POST", f"/containers/{container}/exec", body=_FEED)
        if reply.status != 201:
            raise refused(reply.status, reply.message(), doing=doing)
        target = await self._client.target(f"/exec/{reply.json()['Id']}/start")
        return await attach(
            self._client.endpoint,
            target,
            container[:12],
            within=self._client.timeout,
            body={"Detach": False, "Tty": False},
        )

    async def _state(self, container: str) -> dict[str, Any]:
        """Return what the engine knows of a container; nothing when it is not there."""
        reply = await self._client.ask("GET", f"/containers/{container}/json")
        found: dict[str, Any] = reply.json() if reply.status == 200 else {}
        return found


class TwoWays:
    """A `ByteStream` that reads from one stream and writes to another."""

    def __init__(self, printed: ByteStream, fed: ByteStream) -> None:
        self.lane = printed.lane
        self._printed = printed
        self._fed = fed

    async def read(self) -> bytes:
        """Wait for at least one byte of the guest's."""
        return await self._printed.read()

    def write(self, data: bytes) -> None:
        """Send bytes to the guest, buffered."""
        self._fed.write(data)

    async def drain(self) -> None:
        """Wait until the buffer is small again; `EngineError` when either stream is gone."""
        await self._fed.drain()
        await self._printed.drain()

    async def aclose(self) -> None:
        """Let go of both."""
        try:
            await self._fed.aclose()
        finally:
            await self._printed.aclose()


def is_podman(components: Mapping[str, str]) -> bool:
    """Tell by what an engine says it is made of."""
    return "Podman Engine" in components


def _resources(limits: Limits) -> dict[str, Any]:
    return {
        "memory": {"limit": limits.memory, "swap": limits.memory},
        "cpu": {"quota": round(limits.cpus * _PERIOD), "period": _PERIOD},
        "pids": {"limit": limits.pids},
    }
