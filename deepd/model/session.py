"""Session: a standing wish for one sandbox of a profile, and how it is doing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deepd.model.ids import ProfileName, SessionName

Wanted = Literal["running", "stopped", "paused", "closed", "purged"]
"""What a person or a profile asked for; `running` still stops by itself when idle.

A closed session goes once its container is gone, and a purged one takes its workspace with it:
kept as a wish so that neither is forgotten when the daemon or the engine ends in between.
"""


@dataclass(frozen=True, slots=True)
class Session:
    """One stored wish; outlives containers and the daemon."""

    name: SessionName
    profile: ProfileName
    wanted: Wanted = "running"
    created_at: float = 0.0
    last_active: float = 0.0
    """When the last call, pty or hold ended, in seconds since the epoch."""
    generation: int = 0
    """Goes up with every container made for it."""
    declared: bool = False
    """Named in the profile's `sessions`; goes when the profile stops naming it."""


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session together with what was observed: what `deepd ps` and the dashboard show."""

    name: SessionName
    profile: ProfileName
    state: str
    """One of: pulling, creating, starting, setup, ready, busy, held, paused, pausing, stopping,
    closing, stopped, failed, waiting (for the engine), no profile."""
    cause: str = ""
    """Why it is in that state, for a person: `idle for 1h`, `setup exited with 1`."""
    engine: str = ""
    container: str = ""
    image: str = ""
    user: str = ""
    """`1000:1000`, once the guest has said so."""
    created_at: float = 0.0
    last_active: float = 0.0
    idle_at: float | None = None
    """When it will stop if nothing happens; `None` while busy, stopped, or never."""
    running: int = 0
    """Calls that run now, jobs and ptys included."""
    held: int = 0
    generation: int = 0
    progress: float | None = None
    """How much of a pull or build is done, 0 to 1."""
    stale: bool = False
    """Its container is of an older version of the profile."""
    isolation: str = ""
    """How its sandbox is isolated, where that is not its engine's only way."""
    lane: bool = False
    """Its guest is reached without the engine in between."""
