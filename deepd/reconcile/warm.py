"""The warm pool: started sandboxes without a session, so that a new one is ready at once."""

from __future__ import annotations

from collections.abc import Sequence

from deepd.model.ids import ProfileName
from deepd.model.profile import Profile
from deepd.model.sandbox import Sandbox, SandboxState
from deepd.reconcile.action import (
    Action,
    Attach,
    CreateWarm,
    PullImage,
    Remove,
    SetUp,
    Start,
    warm_lane,
)
from deepd.reconcile.facts import WarmFacts, World
from deepd.reconcile.step import SPOILT, container_hash

_UNKNOWN = WarmFacts()


def claimable(world: World, name: ProfileName, sandboxes: Sequence[Sandbox]) -> list[Sandbox]:
    """Return the warm sandboxes that a session could take now, the oldest first."""
    profile = world.profiles[name]
    mine = _of(name, sandboxes)
    if not mine:
        return []
    current = container_hash(profile)
    return [
        sandbox
        for sandbox in mine
        if sandbox.state is SandboxState.RUNNING
        and sandbox.spec_hash == current
        and _is_ready(world.warm.get(sandbox.id, _UNKNOWN), profile)
    ]


def plan_warm(
    world: World, sandboxes: Sequence[Sandbox], *, now: float, starting: bool
) -> list[Action]:
    """Return what keeps each profile's pool full; sessions that start come before refills."""
    actions: list[Action] = []
    names = {sandbox.profile for sandbox in sandboxes if sandbox.session is None}
    for name in sorted(names - set(world.profiles)):
        if world.complete:
            actions += [Remove(sandbox, "no profile") for sandbox in _of(name, sandboxes)]
    for profile in world.profiles.values():
        mine = _of(profile.name, sandboxes)
        if mine:
            actions += _keep(profile, world, mine, now)
        if len(mine) < profile.warm and not starting:
            actions.append(_refill(profile, world, len(mine)))
    return actions


def _keep(profile: Profile, world: World, sandboxes: list[Sandbox], now: float) -> list[Action]:
    actions: list[Action] = []
    failure = world.failures.get(warm_lane(profile.name))
    is_held_back = failure is not None and failure.holds(now, profile.revision())
    current = container_hash(profile)
    kept = 0
    for sandbox in sandboxes:
        facts = world.warm.get(sandbox.id, _UNKNOWN)
        if cause := _why_not_kept(sandbox, facts, current):
            actions.append(Remove(sandbox, cause, again=True))
        elif kept == profile.warm:
            actions.append(Remove(sandbox, f"more than warm = {profile.warm}"))
        else:
            kept += 1
            step = None if is_held_back else _warm_up(sandbox, facts, profile)
            actions += [step] if step else []
    return actions


def _refill(profile: Profile, world: World, count: int) -> PullImage | CreateWarm:
    cause = f"warm {count} -> {profile.warm}"
    if profile.image_ref not in world.images:
        return PullImage(profile, cause)
    return CreateWarm(profile, cause, count + 1)


def _why_not_kept(sandbox: Sandbox, facts: WarmFacts, current: str) -> str:
    if not sandbox.warm_id:
        return "not wanted"
    if sandbox.spec_hash != current:
        return "profile changed"
    if not facts.workspace_exists:
        return "its workspace is gone"
    if sandbox.state in {SandboxState.RUNNING, SandboxState.CREATED}:
        return ""
    return sandbox.state.value


def _warm_up(sandbox: Sandbox, facts: WarmFacts, profile: Profile) -> Action | None:
    if sandbox.state is SandboxState.CREATED:
        return Start(sandbox, "created, not started")
    if not facts.attached:
        return Attach(sandbox, "running, not attached")
    if facts.setup in SPOILT:
        return Remove(sandbox, SPOILT[facts.setup], again=True)
    if facts.setup == "" and profile.setup:
        return SetUp(sandbox, profile, "new container")
    return None


def _is_ready(facts: WarmFacts, profile: Profile) -> bool:
    is_set_up = facts.setup == "done" or (facts.setup == "" and not profile.setup)
    return facts.attached and facts.workspace_exists and is_set_up


def _of(name: ProfileName, sandboxes: Sequence[Sandbox]) -> list[Sandbox]:
    mine = [box for box in sandboxes if box.session is None and box.profile == name]
    return sorted(mine, key=lambda box: box.created_at)
