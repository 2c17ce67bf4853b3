"""The world as the plan sees it: frozen facts about sessions, warm sandboxes and failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from deepd.errors import DeepdError, EngineRefusedError, SandboxError
from deepd.model.ids import ContainerId, ProfileName
from deepd.model.profile import Limits, Profile
from deepd.model.session import Session

Setup = Literal["", "begun", "done", "failed"]
"""How far the profile's setup commands have come in a container; they never run twice in one."""

QUIET = 2.0
"""Seconds without work before `on_change = "idle"` recreates: not between two calls of a row."""


class SetupError(SandboxError):
    """A setup command of the profile failed, and would again until the profile changes."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong last, how often in a row, and until when it is left alone."""

    error: DeepdError
    attempts: int
    until: float | None
    """`None`: until the profile's revision is another one, or somebody asks for it."""
    revision: str = ""
    container: str = ""
    """The container that it failed with."""

    def holds(self, now: float, revision: str) -> bool:
        """Tell whether it is still too early to try again."""
        return self.revision == revision if self.until is None else now < self.until


def is_terminal(error: DeepdError) -> bool:
    """Tell whether trying again is useless until something changes."""
    return isinstance(error, EngineRefusedError | SetupError)


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """A session and what the daemon knows of its sandbox beside what the engine shows."""

    session: Session
    running: int = 0
    """Calls, jobs and ptys that run, or wait for the sandbox."""
    held: int = 0
    waiting: int = 0
    """Callers who wait for it to be ready."""
    attached: ContainerId | None = None
    """The container whose guest's stream is open."""
    setup: Setup = ""
    """Of its newest container."""
    limits: Limits | None = None
    """What its newest container was given; `None` when that is not known."""
    workspace_exists: bool = False

    @property
    def is_busy(self) -> bool:
        """Tell whether somebody would notice if the container went."""
        return self.running > 0 or self.held > 0

    def idle_at(self, profile: Profile) -> float | None:
        """Return when it stops if nothing happens; `None` while somebody needs it, or never."""
        if self.is_busy or self.waiting or profile.idle_timeout is None:
            return None
        return self.session.last_active + profile.idle_timeout

    def should_run(self, profile: Profile, now: float) -> bool:
        """Tell whether a container of it should be up now."""
        if self.session.wanted != "running":
            return False
        idle_at = self.idle_at(profile)
        return idle_at is None or now < idle_at


@dataclass(frozen=True, slots=True)
class WarmFacts:
    """What the daemon knows of one warm sandbox."""

    attached: bool = False
    setup: Setup = ""
    workspace_exists: bool = True
    """False when its folder was given to a session and the claim did not follow."""


@dataclass(frozen=True, slots=True)
class World:
    """All that a plan is made from, except what the engine shows."""

    profiles: Mapping[ProfileName, Profile]
    """The last good version of each."""
    sessions: tuple[SessionFacts, ...] = ()
    warm: Mapping[ContainerId, WarmFacts] = field(default_factory=dict)
    images: frozenset[str] = frozenset()
    """Images that the engine has."""
    failures: Mapping[str, Failure] = field(default_factory=dict)
    """By the lane of the action that failed."""
    complete: bool = True
    """False while a file has no good version at all: then a missing profile is not a gone one."""
