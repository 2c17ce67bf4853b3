"""The decision table of one session: the one step that brings it closer to what it wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from deepd.errors import ProtocolError
from deepd.model.duration import render_duration
from deepd.model.profile import Limits, Profile
from deepd.model.sandbox import Sandbox, SandboxState
from deepd.reconcile.action import (
    Action,
    Attach,
    Close,
    Create,
    Pause,
    Remove,
    Resume,
    SetUp,
    Start,
    Stop,
    Update,
)
from deepd.reconcile.facts import QUIET, Failure, SessionFacts

DEAF = 5
"""Attempts to reach a guest before its container is given up, when nobody uses it."""

SPOILT = {"failed": "setup failed", "begun": "setup was interrupted"}
"""Setups that only a new container can mend."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is known of one session beside its containers."""

    facts: SessionFacts
    profile: Profile | None
    now: float
    failure: Failure | None = None
    """What went wrong last when it was brought up, and was not mended since."""
    complete: bool = True
    """Whether a profile that is missing here is known to be gone."""

    @property
    def is_held_back(self) -> bool:
        """Tell whether it is too early to bring it up again."""
        revision = self.profile.revision() if self.failure and self.profile else ""
        return self.failure is not None and self.failure.holds(self.now, revision)


def next_step(wish: Wish, sandboxes: Sequence[Sandbox]) -> Action | None:
    """Return the one action that brings a session closer to what it wants."""
    session = wish.facts.session
    match sandboxes:
        case [_, _, *_]:
            return Remove(_extra(wish.facts, sandboxes), "duplicate")
        case []:
            return _without_sandbox(wish)
        case [sandbox, *_] if session.wanted in {"closed", "purged"}:
            return Remove(sandbox, "closed")
        case [sandbox, *_] if sandbox.state is SandboxState.BROKEN:
            return Remove(sandbox, "broken", again=True)
        case [sandbox, *_]:
            return _asked(wish, sandbox) or _by_state(wish, sandbox)
        case _:
            return None


def _without_sandbox(wish: Wish) -> Action | None:
    session, profile = wish.facts.session, wish.profile
    if session.wanted in {"closed", "purged"}:
        return Close(session, "closed")
    if profile and not wish.is_held_back and wish.facts.should_run(profile, wish.now):
        return Create(session, profile, "no sandbox")
    return None


def _asked(wish: Wish, sandbox: Sandbox) -> Action | None:
    """Return what somebody asked for by name: stop, pause, or run again."""
    match wish.facts.session.wanted, sandbox.state:
        case "stopped", SandboxState.RUNNING:
            return Stop(sandbox, "asked to stop")
        case "stopped", SandboxState.PAUSED if wish.profile and wish.profile.auto_remove:
            return Remove(sandbox, "asked to stop")
        case "stopped", SandboxState.PAUSED:
            return Resume(sandbox, "asked to stop")
        case "paused", SandboxState.RUNNING:
            return Pause(sandbox, "asked to pause")
        case "running", SandboxState.PAUSED:
            return Resume(sandbox, "asked to run")
        case _:
            return None


def _by_state(wish: Wish, sandbox: Sandbox) -> Action | None:
    match wish.profile, sandbox.state:
        case None, SandboxState.RUNNING:
            return _running_without_profile(wish, sandbox)
        case Profile() as profile, SandboxState.RUNNING:
            return (
                _attach(wish, sandbox)
                or _leave(wish, profile, sandbox)
                or _improve(wish, profile, sandbox)
            )
        case Profile() as profile, SandboxState.CREATED | SandboxState.STOPPED:
            return _not_running(wish, profile, sandbox)
        case _:
            return None


def _attach(wish: Wish, sandbox: Sandbox) -> Action | None:
    """Reach the guest before anything is decided: who holds its stream knows what runs in it."""
    if wish.facts.attached == sandbox.id or wish.is_held_back:
        return None
    if _is_deaf(sandbox, wish.failure) and not wish.facts.is_busy:
        return Remove(sandbox, "its guest does not answer", again=True)
    return Attach(sandbox, "running, not attached")


def _leave(wish: Wish, profile: Profile, sandbox: Sandbox) -> Action | None:
    if not wish.facts.should_run(profile, wish.now):
        return Stop(sandbox, f"idle for {render_duration(profile.idle_timeout or 0)}")
    if is_outdated(sandbox, profile) and may_recreate(wish.facts, profile, wish.now):
        return Remove(sandbox, "profile changed", again=True)
    return None


def _improve(wish: Wish, profile: Profile, sandbox: Sandbox) -> Action | None:
    facts = wish.facts
    if facts.attached != sandbox.id:
        return None
    if facts.setup in SPOILT:
        may_go = not wish.is_held_back and facts.running == 0
        return Remove(sandbox, SPOILT[facts.setup], again=True) if may_go else None
    if _limits_differ(facts.limits, profile.limits):
        return Update(sandbox, profile.limits, "limits changed")
    if facts.setup == "" and profile.setup and not wish.is_held_back:
        return SetUp(sandbox, profile, "new container")
    return None


def _not_running(wish: Wish, profile: Profile, sandbox: Sandbox) -> Action | None:
    cause = _why_not_running(sandbox)
    if not wish.facts.should_run(profile, wish.now):
        is_useless = profile.auto_remove or sandbox.state is SandboxState.CREATED
        return Remove(sandbox, cause) if is_useless else None
    if is_outdated(sandbox, profile) and profile.on_change != "new":
        return Remove(sandbox, "profile changed", again=True)
    # A claimed sandbox cannot start again: its workspace has moved from where it was made.
    if sandbox.state is SandboxState.STOPPED and (profile.auto_remove or sandbox.warm_id):
        return Remove(sandbox, cause, again=True)
    return None if wish.is_held_back else Start(sandbox, cause)


def _running_without_profile(wish: Wish, sandbox: Sandbox) -> Action | None:
    if wish.facts.attached != sandbox.id and not wish.is_held_back:
        return Attach(sandbox, "running, not attached")
    if wish.complete and not wish.facts.is_busy:
        return Stop(sandbox, "no profile")
    return None


def is_outdated(sandbox: Sandbox, profile: Profile) -> bool:
    """Tell whether the container is of another version of the profile, in what is fixed in it."""
    return sandbox.spec_hash != container_hash(profile)


@lru_cache(maxsize=256)
def container_hash(profile: Profile) -> str:
    """Return the hash of what is fixed in a container; asked for at every look."""
    return profile.container_hash()


def may_recreate(facts: SessionFacts, profile: Profile, now: float) -> bool:
    """Tell whether `on_change` lets the running container go now; never under its caller."""
    if facts.is_busy:
        return False
    match profile.on_change:
        case "new":
            return False
        case "idle":
            return now >= facts.session.last_active + QUIET
        case "now":
            return True


def _extra(facts: SessionFacts, sandboxes: Sequence[Sandbox]) -> Sandbox:
    """Return the one that is needed least: not the attached, running, newest one."""

    def worth(sandbox: Sandbox) -> tuple[bool, bool, int, float]:
        is_running = sandbox.state is SandboxState.RUNNING
        is_attached = sandbox.id == facts.attached
        return is_attached, is_running, sandbox.generation, sandbox.created_at

    return min(sandboxes, key=worth)


def _is_deaf(sandbox: Sandbox, failure: Failure | None) -> bool:
    return (
        failure is not None
        and failure.container == sandbox.id
        and failure.attempts >= DEAF
        and isinstance(failure.error, ProtocolError)
    )


def _why_not_running(sandbox: Sandbox) -> str:
    if sandbox.state is SandboxState.CREATED:
        return "created, not started"
    return f"exited with {sandbox.exit_code}" if sandbox.exit_code else "stopped"


def _limits_differ(applied: Limits | None, wanted: Limits) -> bool:
    if applied is None:
        return True
    return (applied.memory, applied.cpus, applied.pids) != (
        wanted.memory,
        wanted.cpus,
        wanted.pids,
    )
