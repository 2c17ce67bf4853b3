"""Status: what a person is told about a session, derived from facts and never stored."""

from __future__ import annotations

from dataclasses import dataclass

from deepd.errors import DeepdError
from deepd.model.duration import render_duration
from deepd.model.profile import Profile
from deepd.model.sandbox import Sandbox, SandboxState
from deepd.reconcile.action import (
    Action,
    Attach,
    Claim,
    Create,
    Pause,
    PullImage,
    Remove,
    Resume,
    SetUp,
    Start,
    Stop,
)
from deepd.reconcile.facts import Failure, SessionFacts

_DOING: dict[type, str] = {
    PullImage: "pulling",
    Create: "creating",
    Claim: "creating",
    Start: "starting",
    Attach: "starting",
    SetUp: "setup",
    Pause: "pausing",
    Resume: "starting",
    Stop: "stopping",
    Remove: "stopping",
}

_UP = frozenset({SandboxState.RUNNING, SandboxState.PAUSED})


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a session's state is derived from."""

    facts: SessionFacts
    profile: Profile | None
    sandbox: Sandbox | None
    is_live: bool
    """Its guest answers and its setup has run."""
    now: float
    doing: Action | None = None
    """What is being done to it, or to its image while it waits for that."""
    failure: Failure | None = None
    engine_down: DeepdError | None = None


def state_of(seen: Seen) -> tuple[str, str]:
    """Return a session's state and, where there is more to say, why."""
    if seen.facts.session.wanted in {"closed", "purged"}:
        return "closing", ""
    # What ends it comes before how well it does; all else can wait while it works.
    if isinstance(seen.doing, Stop | Pause) or _takes_away(seen):
        return _DOING[type(seen.doing)], seen.doing.cause if seen.doing else ""
    if seen.facts.session.wanted == "running" and seen.is_live:
        return _at_work(seen)
    if seen.profile is None:
        return "no profile", f"no profile {seen.facts.session.profile} is loaded"
    if seen.engine_down:
        return "waiting", str(seen.engine_down)
    if seen.doing and type(seen.doing) in _DOING and not isinstance(seen.doing, Remove):
        return _DOING[type(seen.doing)], seen.doing.cause
    return _at_rest(seen, seen.profile)


def _takes_away(seen: Seen) -> bool:
    """Tell whether a container is removed that still runs: removing a stopped one is no news."""
    is_up = seen.sandbox is not None and seen.sandbox.state in _UP
    return isinstance(seen.doing, Remove) and is_up


def _at_work(seen: Seen) -> tuple[str, str]:
    if seen.facts.held:
        return "held", ""
    if seen.facts.running:
        return "busy", ""
    return "ready", ""


def _at_rest(seen: Seen, profile: Profile) -> tuple[str, str]:
    state = seen.sandbox.state if seen.sandbox else None
    match seen.facts.session.wanted:
        case "paused":
            return ("paused" if state in _UP else "stopped"), "asked to pause"
        case "stopped" if state not in _UP:
            return "stopped", "asked to stop"
        case "stopped":
            return "stopping", "asked to stop"
        case _:
            pass
    if seen.failure and (seen.failure.until is None or seen.failure.attempts > 1):
        return "failed", str(seen.failure.error)
    if not seen.facts.should_run(profile, seen.now):
        idle = f"idle for {render_duration(profile.idle_timeout or 0)}"
        return ("stopping" if state is SandboxState.RUNNING else "stopped"), idle
    if seen.failure:
        return "starting", str(seen.failure.error)
    return ("starting" if state in {SandboxState.RUNNING, SandboxState.CREATED} else "creating"), ""
