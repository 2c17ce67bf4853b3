"""Engine: the whole contract between deepd and what makes sandboxes.

Every method may raise `EngineError`; `EngineTimeoutError` means that it is not known whether the
thing happened, and the caller looks again. Nothing here waits without a deadline but `watch`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from deepd.engine.lane import Lane
from deepd.model.ids import ContainerId
from deepd.model.profile import Build, Limits
from deepd.model.sandbox import Sandbox, SandboxSpec, SandboxStats

Progress = Callable[[str, float | None], None]
"""Called with what is being done, and how much of it is done from 0 to 1 where that is known."""

GUEST_PATH = "/.deepd/guest"
"""Where the guest is inside a sandbox."""


class ByteStream(Protocol):
    """The guest's stdin and stdout; ordered, but lossy over a reattach."""

    @property
    def lane(self) -> Lane | None:
        """Where the same guest can be met for a quicker stream; `None`: nowhere."""
        ...

    async def read(self) -> bytes:
        """Wait for at least one byte; `b""` is the end of the stream and nothing more."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes, buffered; never blocks."""
        ...

    async def drain(self) -> None:
        """Wait until the buffer is small again; raise `EngineError` when the stream is gone."""
        ...

    async def aclose(self) -> None:
        """Let go of the stream; the guest goes on."""
        ...


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Who answers at the engine's endpoint."""

    name: str
    endpoint: str
    version: str
    api_version: str = ""
    isolation: str = ""
    """The level reached, in words: `containers (runc 1.1.5, seccomp)`."""
    warnings: tuple[str, ...] = ()


class Engine(Protocol):
    """Makes, shows and opens the sandboxes of one instance of deepd."""

    @property
    def name(self) -> str:
        """What the engine is called: docker, local."""
        ...

    @property
    def endpoint(self) -> str:
        """Where it is asked."""
        ...

    async def info(self) -> EngineInfo:
        """Ask who is there; also the check that the engine answers."""
        ...

    async def observe(self) -> list[Sandbox]:
        """List the containers that carry our instance's labels, running or not."""
        ...

    async def ensure_image(self, image: str, progress: Progress) -> str:
        """Return the digest of an image, pulling it where it is missing."""
        ...

    async def build_image(self, build: Build, progress: Progress) -> str:
        """Return the digest of `build.tag()`, building it where it is missing."""
        ...

    async def create(self, spec: SandboxSpec) -> ContainerId:
        """Create one container, not started; its name in use is `EngineError`: look again."""
        ...

    async def start(self, container: ContainerId) -> None:
        """Start it; already running is no error."""
        ...

    async def stop(self, container: ContainerId) -> None:
        """Ask the guest to end, kill it after a short grace; not running is no error."""
        ...

    async def pause(self, container: ContainerId) -> None:
        """Freeze all its processes; already paused is no error."""
        ...

    async def resume(self, container: ContainerId) -> None:
        """Thaw it; not paused is no error."""
        ...

    async def remove(self, container: ContainerId) -> None:
        """Remove it, running or not; already gone is no error."""
        ...

    async def claim(self, container: ContainerId, name: str) -> None:
        """Give a warm container its session's name; the name in use is `EngineError`."""
        ...

    async def update(self, container: ContainerId, limits: Limits) -> None:
        """Change memory, cpus and pids of a running container."""
        ...

    async def stats(self, container: ContainerId) -> SandboxStats:
        """Measure once."""
        ...

    async def open(self, container: ContainerId) -> ByteStream:
        """Attach to the guest of a running container."""
        ...

    def watch(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed: look again. Ends when the engine goes away."""
        ...

    async def aclose(self) -> None:
        """Close connections; containers go on."""
        ...
