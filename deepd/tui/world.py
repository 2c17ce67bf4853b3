"""World: all that the dashboard knows of the daemon at one moment; frozen, handed down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

MOST_EVENTS = 5000
"""Events that are kept to be looked at; the daemon has the others."""


@dataclass(frozen=True)
class World:
    """What the daemon said last."""

    connected: bool = False
    loaded: bool = False
    """Whether it has ever been reached: what is shown is then true, or was."""
    trouble: str = ""
    """Why it cannot be reached now, and what to do."""
    info: Json = field(default_factory=dict)
    sessions: Sequence[Json] = ()
    approvals: Sequence[Json] = ()
    """Those that are pending, what waits longest first."""
    calls: Sequence[Json] = ()
    """The newest first."""
    stats: Mapping[str, Json] = field(default_factory=dict)
    """What sessions use, by name."""
    events: Sequence[Json] = ()
    """The oldest first, each once."""

    @property
    def profiles(self) -> Sequence[Json]:
        """Each profile's file and how it is doing."""
        found: Sequence[Json] = self.info.get("profiles") or ()
        return found

    @property
    def engine(self) -> Json:
        """Who runs the containers, and whether it answers."""
        return self.info.get("engine") or {}

    def session(self, name: str) -> Json | None:
        """Return a session by name."""
        return next((item for item in self.sessions if item["name"] == name), None)

    def approval(self, approval_id: str) -> Json | None:
        """Return a pending approval by id."""
        return next((item for item in self.approvals if item["id"] == approval_id), None)

    def calls_of(self, session: str) -> list[Json]:
        """Return a session's calls, the newest first."""
        return [call for call in self.calls if call["session"] == session]


def joined(events: Sequence[Json], fresh: Sequence[Json]) -> tuple[Json, ...]:
    """Return the events with fresh ones behind them: none twice, and not too many."""
    last = events[-1]["id"] if events else 0
    return (*events, *(event for event in fresh if event["id"] > last))[-MOST_EVENTS:]
