"""The docker engine: what is asked of it for a sandbox; images come by the docker SDK."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepd.engine import http
from deepd.engine.base import GUEST_PATH, ByteStream, EngineInfo, Progress
from deepd.engine.dialect import Docker
from deepd.engine.docker_client import DockerClient
from deepd.engine.endpoint import find_endpoint
from deepd.engine.fault import LeavingError, NoContainerError, refused
from deepd.engine.guest_volume import GuestVolume
from deepd.engine.images import Images
from deepd.engine.labels import INSTANCE, read_sandbox
from deepd.engine.lanes import SandboxLanes
from deepd.engine.podman import Podman, is_podman
from deepd.engine.spec import render_container
from deepd.engine.stats import CpuSample, read_stats
from deepd.errors import EngineError
from deepd.model.ids import ContainerId
from deepd.model.profile import Build, Limits
from deepd.model.sandbox import Sandbox, SandboxSpec, SandboxStats


class DockerEngine:
    """An `Engine` on Docker's API; Podman serves the same one. Making it connects to nothing."""

    def __init__(
        self,
        instance: str,
        endpoint: str = "",
        *,
        timeout: float = 30.0,
        starts: int = 0,
        guest: Path | None = None,
        name: str = "docker",
        lanes: Path | None = None,
    ) -> None:
        """Bound each request to `timeout` s, and starts at once to `starts` (0: one a core).

        It goes by `name` until it has said what it is. In the folder `lanes` its sandboxes' guests
        are met, where it is on this machine.
        """
        self._instance = instance
        self._name = name
        address = find_endpoint(endpoint)
        self.endpoint = address.url
        self._client = DockerClient(address, timeout=timeout)
        self._guest = GuestVolume(self._client, guest)
        self._images = Images(self._client)
        # More at once only makes each of them slower.
        self._starts = asyncio.Semaphore(starts or os.cpu_count() or 1)
        self._cpu: dict[ContainerId, CpuSample] = {}
        self._spoken: Docker | None = None
        self._lost: dict[ContainerId, tuple[str, ...]] = {}
        self._lanes = SandboxLanes(lanes, address)

    @property
    def name(self) -> str:
        """What it says it is."""
        return self._name

    async def info(self) -> EngineInfo:
        """Ask who is there; also the check that the engine answers."""
        server = await self._client.server()
        dialect = await self._dialect()
        raw = await self._about()
        return EngineInfo(
            name=self.name,
            endpoint=self.endpoint,
            version=server.version,
            api_version=server.api_version,
            isolation=_isolation(dialect.runtime(raw), raw),
            warnings=dialect.warnings(raw),
        )

    async def _about(self) -> dict[str, Any]:
        about: dict[str, Any] = (
            await self._client.do("cannot ask the engine about itself", "GET", "/info")
        ).json()
        self._lanes.learn(about)
        return about

    async def observe(self) -> list[Sandbox]:
        """List the containers that carry our instance's labels, running or not."""
        filters = json.dumps({"label": [f"{INSTANCE}={self._instance}"]})
        query = {"all": "1", "filters": filters}
        listed = await self._client.do(
            "cannot list the sandboxes", "GET", "/containers/json", query=query
        )
        read = (read_sandbox(row, self._instance) for row in listed.json())
        found = [sandbox for sandbox in read if sandbox is not None]
        self._lanes.observed(found)
        return [await self._with_losses(sandbox) for sandbox in found]

    async def _with_losses(self, sandbox: Sandbox) -> Sandbox:
        """Add which limits do not hold; asked once for each container."""
        lost = self._lost.get(sandbox.id)
        if lost is None:
            lost = await (await self._dialect()).lost_limits(sandbox.id)
            self._lost[sandbox.id] = lost
        return replace(sandbox, isolation=f"no limit of {', '.join(lost)}") if lost else sandbox

    async def ensure_image(self, image: str, progress: Progress) -> str:
        """Return the digest of an image, pulling it where it is missing."""
        return await self._images.ensure(image, progress)

    async def build_image(self, build: Build, progress: Progress) -> str:
        """Return the digest of `build.tag()`, building it where it is missing."""
        return await self._images.build(build, progress)

    async def create(self, spec: SandboxSpec) -> ContainerId:
        """Create one container, not started; its name in use is `EngineError`: look again."""
        if not self._lanes.known:
            await self._about()
        lane = self._lanes.make()
        try:
            container = await self._create(spec, lane)
        except EngineError as error:
            if not self._lanes.is_refused(lane, error):
                raise
            return await self._create(spec, None)
        self._lanes.made(container, lane)
        return container

    async def _create(self, spec: SandboxSpec, lane: Path | None) -> ContainerId:
        made = await self._client.do(
            f"cannot create the sandbox {spec.name}",
            "POST",
            "/containers/create",
            query={"name": spec.name},
            body=render_container(spec, await self._guest.name(), lane),
            image=spec.image,
        )
        return ContainerId(str(made.json()["Id"]))

    async def start(self, container: ContainerId) -> None:
        """Start it; already running is no error."""
        async with self._starts:
            await self._guest.wait_until_filled(container)
            self._lanes.restore(container)
            try:
                await self._start(container)
            except EngineError as error:
                if GUEST_PATH not in error.detail:
                    raise
                # The volume was pruned since, and came back empty with this container.
                await self._guest.refill(container)
                await self._start(container)

    async def _start(self, container: ContainerId) -> None:
        await self._client.do("cannot start the sandbox", "POST", f"/containers/{container}/start")

    async def stop(self, container: ContainerId) -> None:
        """Ask the guest to end, kill it after a short grace; not running is no error."""
        await (await self._dialect()).stop(container)

    async def pause(self, container: ContainerId) -> None:
        """Freeze all its processes; already paused is no error."""
        await self._switch(container, "pause", frozen=True)

    async def resume(self, container: ContainerId) -> None:
        """Thaw it; not paused is no error."""
        await self._switch(container, "unpause", frozen=False)

    async def _switch(self, container: ContainerId, verb: str, *, frozen: bool) -> None:
        """Pause or unpause; a refusal is no error when the container is as it was wanted."""
        doing = f"cannot {verb} the sandbox"
        reply = await self._client.ask("POST", f"/containers/{container}/{verb}")
        if reply.status >= 400:
            state = (await self._client.inspect(container, doing=doing))["State"]
            if bool(state["Paused"]) is not frozen:
                raise refused(reply.status, reply.message(), doing=doing)

    async def remove(self, container: ContainerId) -> None:
        """Remove it, running or not; already gone is no error. It is gone when this returns."""
        doing = "cannot remove the sandbox"
        with suppress(NoContainerError):
            try:
                await self._client.do(
                    doing, "DELETE", f"/containers/{container}", query={"force": "1", "v": "1"}
                )
            except LeavingError:
                await self._client.do(
                    doing, "POST", f"/containers/{container}/wait", query={"condition": "removed"}
                )
        self._cpu.pop(container, None)
        self._lost.pop(container, None)
        self._lanes.removed(container)

    async def claim(self, container: ContainerId, name: str) -> None:
        """Give a warm container its session's name; the name in use is `EngineError`."""
        await self._client.do(
            f"cannot name the sandbox {name}",
            "POST",
            f"/containers/{container}/rename",
            query={"name": name},
        )

    async def update(self, container: ContainerId, limits: Limits) -> None:
        """Change memory, cpus and pids of a running container."""
        await (await self._dialect()).update(container, limits)

    async def stats(self, container: ContainerId) -> SandboxStats:
        """Measure once; cpu is the mean since the last time, and 0 the first time."""
        raw = await (await self._dialect()).measure(container)
        stats, self._cpu[container] = read_stats(raw, self._cpu.get(container))
        return stats

    async def open(self, container: ContainerId) -> ByteStream:
        """Attach to the guest of a running container."""
        return await (await self._dialect()).open(container, self._lanes.path(container))

    async def _dialect(self) -> Docker:
        """Return how this engine is asked, by what it says it is."""
        server = await self._client.server()
        if self._spoken is None or self._spoken.server is not server:
            kind = Podman if is_podman(server.components) else Docker
            self._spoken = kind(self._client, server)
            self._name = kind.name
        return self._spoken

    async def watch(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed, first when the engine begins to tell."""
        filters = {"type": ["container"], "label": [f"{INSTANCE}={self._instance}"]}
        target = await self._client.target("/events", {"filters": json.dumps(filters)})
        events = http.stream(self._client.endpoint, target, within=self._client.timeout)
        async with aclosing(events):
            async for status, piece in events:
                if status != 200:
                    message = piece.decode(errors="replace")
                    raise refused(status, message, doing="cannot follow the engine")
                yield None

    async def aclose(self) -> None:
        """Close connections; containers go on."""
        await self._client.aclose()


def _isolation(runtime: str, raw: dict[str, Any]) -> str:
    """Return the level reached, in words: only what the engine says is really on."""
    options = [str(option) for option in raw.get("SecurityOptions") or []]
    names = [
        name
        for option in options
        for key, _, name in [option.split(",")[0].partition("=")]
        if key == "name" and name
    ]
    return f"containers ({', '.join([runtime, *names])})"
