"""Small worlds to plan in: profiles, sessions and sandboxes with everything else left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepd.model.ids import ContainerId, ProfileName, SessionName
from deepd.model.profile import Profile
from deepd.model.sandbox import Sandbox, SandboxState
from deepd.model.session import Session
from deepd.reconcile.describe import describe
from deepd.reconcile.facts import Failure, SessionFacts, WarmFacts, World
from deepd.reconcile.plan import plan

NOW = 1_000_000.0
IMAGE = "python:3.12-slim"


def profile(name: str = "p", **fields: Any) -> Profile:
    """Return a profile that differs from the default only in what is given."""
    defaults: dict[str, Any] = {
        "file": Path(f"{name}.toml"),
        "image": IMAGE,
        "workspace_root": Path("/workspaces"),
        "sessions": (),
    }
    return Profile(ProfileName(name), **(defaults | fields))


def session(name: str = "main", **fields: Any) -> Session:
    """Return a session that was active a minute ago."""
    defaults: dict[str, Any] = {
        "profile": ProfileName("p"),
        "created_at": NOW - 7200,
        "last_active": NOW - 60,
    }
    return Session(SessionName(name), **(defaults | fields))


def facts(name: str = "main", **fields: Any) -> SessionFacts:
    """Return what is known of a session; fields of the session go to the session."""
    own = {key for key in fields if key in Session.__dataclass_fields__}
    wish = session(name, **{key: fields.pop(key) for key in own})
    return SessionFacts(wish, **fields)


def settled(name: str = "main", of: Profile | None = None, **fields: Any) -> SessionFacts:
    """Return what is known of a session that is attached and lacks nothing."""
    limits = (of or profile()).limits
    container = ContainerId(f"c-{name}")
    return facts(name, **({"attached": container, "setup": "done", "limits": limits} | fields))


def sandbox(name: str | None = "main", of: Profile | None = None, **fields: Any) -> Sandbox:
    """Return a running container of a session, or a warm one for `None`."""
    source = of or profile()
    warm = "" if name else fields.pop("warm", "w1")
    defaults: dict[str, Any] = {
        "id": ContainerId(f"c-{name or warm}"),
        "name": f"deepd-x-{name or f'.warm-{warm}'}",
        "session": SessionName(name) if name else None,
        "profile": source.name,
        "state": SandboxState.RUNNING,
        "spec_hash": source.container_hash(),
        "warm_id": warm,
    }
    return Sandbox(**(defaults | fields))


def world(
    *sessions: SessionFacts,
    profiles: tuple[Profile, ...] | None = None,
    warm: Mapping[str, WarmFacts] | None = None,
    images: frozenset[str] = frozenset({IMAGE}),
    failures: Mapping[str, Failure] | None = None,
    complete: bool = True,
) -> World:
    """Return a world with the profile `p`, unless others are given."""
    found = (profile(),) if profiles is None else profiles
    return World(
        profiles={item.name: item for item in found},
        sessions=sessions,
        warm={ContainerId(key): value for key, value in (warm or {}).items()},
        images=images,
        failures=failures or {},
        complete=complete,
    )


def planned(given: World, *sandboxes: Sandbox, now: float = NOW) -> str:
    """Return the plan's text without its headings and its count, single-spaced."""
    lines = describe(plan(given, sandboxes, now)).splitlines()
    steps = [line for line in lines if not line.startswith("profile ")]
    if len(steps) > 1 or steps[0] != "no changes":
        steps = steps[:-1]
    return "\n".join(" ".join(line.split()) for line in steps)


def edited(base: Profile, **fields: Any) -> Profile:
    """Return the profile after somebody edited its file."""
    return replace(base, **fields)
