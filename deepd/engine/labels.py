"""Labels: how a container says whose it is, and how an engine's list becomes sandboxes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from deepd.engine.lanes import is_lane_name
from deepd.errors import BadRequestError
from deepd.model.ids import ContainerId, ProfileName, SessionName, parse_session_name
from deepd.model.sandbox import Sandbox, SandboxSpec, SandboxState

INSTANCE = "deepd.instance"
SESSION = "deepd.session"
PROFILE = "deepd.profile"
SPEC = "deepd.spec"
GENERATION = "deepd.generation"
WARM = "deepd.warm"
LANE = "deepd.lane"

_STATES = {
    "created": SandboxState.CREATED,
    "running": SandboxState.RUNNING,
    "paused": SandboxState.PAUSED,
    "exited": SandboxState.STOPPED,
    "stopped": SandboxState.STOPPED,
}
_EXITED = re.compile(r"Exited \((-?\d+)\)")


def render_labels(spec: SandboxSpec, lane: str = "") -> dict[str, str]:
    """Return the labels of a new container."""
    return {
        INSTANCE: spec.instance,
        SESSION: spec.session or "",
        PROFILE: spec.profile,
        SPEC: spec.spec_hash,
        GENERATION: str(spec.generation),
        WARM: spec.warm_id,
        **({LANE: lane} if lane else {}),
    }


def read_sandbox(row: Mapping[str, Any], instance: str) -> Sandbox | None:
    """Return one row of the engine's list as a sandbox; `None` when it is not this instance's."""
    labels = row.get("Labels") or {}
    if labels.get(INSTANCE) != instance:
        return None
    names = [name.removeprefix("/") for name in row.get("Names") or []]
    name = next((name for name in names if name.startswith(f"deepd-{instance}-")), "")
    name = name or next(iter(names), "")
    exited = _EXITED.match(row.get("Status") or "")
    return Sandbox(
        id=ContainerId(row["Id"]),
        name=name,
        session=read_session(name, instance),
        profile=ProfileName(labels.get(PROFILE, "")),
        state=_STATES.get(row.get("State") or "", SandboxState.BROKEN),
        spec_hash=labels.get(SPEC, ""),
        image=row.get("ImageID") or "",
        generation=_number(labels.get(GENERATION, "")),
        created_at=float(row.get("Created") or 0),
        exit_code=int(exited[1]) if exited else None,
        warm_id=labels.get(WARM, ""),
        lane=lane if is_lane_name(lane := labels.get(LANE, "")) else "",
    )


def read_session(name: str, instance: str) -> SessionName | None:
    """Return the session that a container's name says: a claim changes names, never labels."""
    prefix = f"deepd-{instance}-"
    if name.startswith(prefix):
        with suppress(BadRequestError):
            return parse_session_name(name.removeprefix(prefix))
    return None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else 0
