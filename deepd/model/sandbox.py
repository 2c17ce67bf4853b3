"""Sandbox: the container of a session as observed, and the spec that one is created from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from deepd.model.ids import ContainerId, ProfileName, SessionName
from deepd.model.profile import EngineName, Limits, Local, Security, Volume


class SandboxState(StrEnum):
    """What the engine says of a container."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    BROKEN = "broken"
    """Dead, removing or unknown to us: only removing helps."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One container that carries our instance's labels, as the engine shows it."""

    id: ContainerId
    name: str
    session: SessionName | None
    """`None`: warm, not claimed yet. Read from the container's name, which a claim changes."""
    profile: ProfileName
    state: SandboxState
    spec_hash: str
    """The profile's `container_hash()` at creation."""
    image: str = ""
    """The image's digest, as the engine names it."""
    generation: int = 0
    created_at: float = 0.0
    """Seconds since the epoch."""
    exit_code: int | None = None
    warm_id: str = ""
    """Which warm workspace it was made with; empty for a sandbox made for its session."""
    engine: str = ""
    """Which engine has it, where one daemon looks at several."""
    isolation: str = ""
    """The level it runs at, in words, where that is not its engine's only one."""
    work_dir: str = ""
    """Where its work dir really is, when that is not where the profile says."""
    lane: str = ""
    """The folder in which its guest can be met; empty: it has none."""


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """All that an engine needs to create one sandbox."""

    instance: str
    session: SessionName | None
    warm_id: str
    profile: ProfileName
    spec_hash: str
    generation: int
    image: str
    work_dir: str
    workspace: Path | None
    """The host folder at `work_dir`; `None` where a volume of the profile is mounted there."""
    volumes: tuple[Volume, ...]
    user: str
    shell: str
    limits: Limits
    security: Security
    engine: EngineName = "auto"
    local: Local = field(default_factory=Local)

    @property
    def name(self) -> str:
        """The container's name: a second one for a session is a conflict, not a container."""
        return sandbox_name(self.instance, self.session, self.warm_id)


def sandbox_name(instance: str, session: SessionName | None, warm_id: str = "") -> str:
    """Return the deterministic container name of a session's sandbox, or of a warm one."""
    return f"deepd-{instance}-{session}" if session else f"deepd-{instance}-.warm-{warm_id}"


@dataclass(frozen=True, slots=True)
class SandboxStats:
    """What a sandbox uses now."""

    cpu: float
    """Cores in use, 1.0 = one core."""
    memory: int
    memory_limit: int
    pids: int
