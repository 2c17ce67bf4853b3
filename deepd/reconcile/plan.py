"""The plan: what to do about the whole world now, one action for each thing, each with its cause.

Pure: no clock, engine, randomness or file. "Remove, then create" is two looks, so there is no
order to keep and nothing to resume: the next look sees the truth and goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepd.model.ids import SessionName
from deepd.model.profile import Profile
from deepd.model.sandbox import Sandbox, SandboxState
from deepd.reconcile.action import (
    Action,
    Claim,
    Close,
    Create,
    CreateWarm,
    PullImage,
    Remove,
    SetUp,
    Start,
    keys,
    lane,
    up_lane,
)
from deepd.reconcile.facts import QUIET, SessionFacts, World
from deepd.reconcile.step import Wish, next_step
from deepd.reconcile.warm import claimable, plan_warm
from deepd.reconcile.workspace import has_workspace

Owned = dict[SessionName, list[Sandbox]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and when to look again although nothing happens."""

    actions: tuple[Action, ...]
    wake_at: float | None = None


def plan(world: World, sandboxes: Sequence[Sandbox], now: float) -> Plan:
    """Return at most one action for each session, container, image and warm pool."""
    owned: Owned = {facts.session.name: [] for facts in world.sessions}
    actions: list[Action] = []
    for sandbox in sandboxes:
        if sandbox.session is None:
            continue
        if sandbox.session in owned:
            owned[sandbox.session].append(sandbox)
        else:
            actions.append(Remove(sandbox, "not wanted"))
    actions += _for_sessions(world, owned, sandboxes, now)
    actions += plan_warm(world, sandboxes, now=now, starting=any(map(_starts, actions)))
    return Plan(_allowed(actions, world, now), _wake_at(world, owned, now))


def _for_sessions(
    world: World, owned: Owned, sandboxes: Sequence[Sandbox], now: float
) -> list[Action]:
    ready = {name: claimable(world, name, sandboxes) for name in world.profiles}
    actions: list[Action] = []
    # Those who are waited for choose first from what is warm.
    for facts in sorted(world.sessions, key=lambda facts: facts.waiting == 0):
        session = facts.session
        profile = world.profiles.get(session.profile)
        failure = world.failures.get(up_lane(session.name))
        wish = Wish(facts, profile, now, failure, world.complete)
        step = next_step(wish, owned[session.name])
        if isinstance(step, Create):
            step = _bring_up(step, world, facts, ready[session.profile])
        actions += [step] if step else []
    return actions


def _bring_up(
    create: Create, world: World, facts: SessionFacts, ready: list[Sandbox]
) -> PullImage | Create | Claim:
    profile = create.profile
    if ready and not (has_workspace(profile) and facts.workspace_exists):
        return Claim(ready.pop(0), create.session, profile, create.cause)
    if profile.image_ref not in world.images:
        return PullImage(profile, f"{create.session.name} needs it")
    return create


def _starts(action: Action) -> bool:
    match action:
        case Create() | Claim():
            return True
        case Start(sandbox=sandbox):
            return sandbox.session is not None
        case _:
            return False


def _allowed(actions: Sequence[Action], world: World, now: float) -> tuple[Action, ...]:
    """Leave out what failed a moment ago, and the second of two that work on the same thing."""
    allowed: list[Action] = []
    taken: set[str] = set()
    for action in actions:
        failure = world.failures.get(lane(action))
        if failure and failure.holds(now, _revision(action, world)):
            continue
        if taken.isdisjoint(keys(action)):
            taken |= keys(action)
            allowed.append(action)
    return tuple(allowed)


def _revision(action: Action, world: World) -> str:
    profile = profile_of(action, world)
    return profile.revision() if profile else ""


def profile_of(action: Action, world: World) -> Profile | None:
    """Return the profile that an action is about, as it is now."""
    match action:
        case PullImage() | Create() | CreateWarm() | Claim() | SetUp():
            return action.profile
        case Close(session=session):
            return world.profiles.get(session.profile)
        case _:
            return world.profiles.get(action.sandbox.profile)


def _wake_at(world: World, owned: Owned, now: float) -> float | None:
    times = [failure.until for failure in world.failures.values() if failure.until is not None]
    for facts in world.sessions:
        profile = world.profiles.get(facts.session.profile)
        for sandbox in owned[facts.session.name]:
            if profile and sandbox.state is SandboxState.RUNNING:
                idle_at = facts.idle_at(profile)
                times += [] if idle_at is None else [idle_at]
                times.append(facts.session.last_active + QUIET)
    return min((time for time in times if time > now), default=None)
