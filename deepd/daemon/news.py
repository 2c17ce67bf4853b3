"""News: the event that a finished action is. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deepd.model.event import EventKind
from deepd.model.ids import ContainerId
from deepd.reconcile.action import (
    Action,
    Attach,
    Claim,
    Close,
    Create,
    CreateWarm,
    Pause,
    PullImage,
    Remove,
    Resume,
    SetUp,
    Start,
    Stop,
    Update,
)

Publish = Callable[..., object]
"""`EventBus.publish`."""


@dataclass(frozen=True, slots=True)
class News:
    """What is published."""

    kind: EventKind
    session: str = ""
    data: dict[str, Any] = field(default_factory=dict)


_KINDS: dict[type, EventKind] = {
    Start: "sandbox_started",
    Stop: "sandbox_stopped",
    Remove: "sandbox_removed",
    Pause: "sandbox_paused",
    Resume: "sandbox_resumed",
    Update: "sandbox_updated",
}


def news_of(action: Action, made: ContainerId | None) -> News | None:
    """Return what to tell about a finished action; `sandbox_ready` tells of attach and setup."""
    match action:
        case Create(session=session, cause=cause):
            return News("sandbox_created", session.name, {"container": made, "cause": cause})
        case CreateWarm(profile=profile, cause=cause):
            data = {"container": made, "profile": profile.name, "cause": cause}
            return News("sandbox_created", "", data)
        case Claim(session=session, sandbox=sandbox):
            return News("sandbox_claimed", session.name, {"container": sandbox.id})
        case Close(session=session):
            return News("session_closed", session.name, {"purged": session.wanted == "purged"})
        case PullImage(profile=profile):
            return News(
                "image_progress", "", {"image": profile.image_ref, "text": "ready", "done": 1.0}
            )
        case Attach() | SetUp():
            return None
        case _:
            sandbox = action.sandbox
            data = {"container": sandbox.id, "cause": action.cause}
            return News(_KINDS[type(action)], sandbox.session or "", data)
