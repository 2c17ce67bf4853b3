"""Action: one step towards what is wanted, with its cause; one engine call each.

An action's `keys` are what it works on: two actions that share a key never run at the same time.
Its `lane` is what a failure of it holds back: bringing up a session that fails to start does not
keep anybody from removing it.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepd.model.ids import ProfileName, SessionName
from deepd.model.profile import Limits, Profile
from deepd.model.sandbox import Sandbox
from deepd.model.session import Session


@dataclass(frozen=True, slots=True)
class PullImage:
    """Pull or build the profile's image."""

    profile: Profile
    cause: str


@dataclass(frozen=True, slots=True)
class Create:
    """Make a container for a session."""

    session: Session
    profile: Profile
    cause: str


@dataclass(frozen=True, slots=True)
class CreateWarm:
    """Make a container that waits for a session."""

    profile: Profile
    cause: str
    number: int
    """Which of the profile's warm ones it will be; for people."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Give a warm sandbox, and its workspace, to a session."""

    sandbox: Sandbox
    session: Session
    profile: Profile
    cause: str


@dataclass(frozen=True, slots=True)
class Start:
    """Start a container that exists."""

    sandbox: Sandbox
    cause: str


@dataclass(frozen=True, slots=True)
class Attach:
    """Open the stream to the guest of a running container."""

    sandbox: Sandbox
    cause: str


@dataclass(frozen=True, slots=True)
class SetUp:
    """Run the profile's setup commands in a new container."""

    sandbox: Sandbox
    profile: Profile
    cause: str


@dataclass(frozen=True, slots=True)
class Update:
    """Change the limits of a running container."""

    sandbox: Sandbox
    limits: Limits
    cause: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Freeze it."""

    sandbox: Sandbox
    cause: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Thaw it."""

    sandbox: Sandbox
    cause: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Let the guest end."""

    sandbox: Sandbox
    cause: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the container."""

    sandbox: Sandbox
    cause: str
    again: bool = False
    """A new one follows."""


@dataclass(frozen=True, slots=True)
class Close:
    """Forget a session that has no container any more."""

    session: Session
    cause: str


Action = (
    PullImage
    | Create
    | CreateWarm
    | Claim
    | Start
    | Attach
    | SetUp
    | Update
    | Pause
    | Resume
    | Stop
    | Remove
    | Close
)


def session_key(name: SessionName) -> str:
    """Return the key of all that is done to a session."""
    return f"session {name}"


def up_lane(name: SessionName) -> str:
    """Return the lane of all that brings a session up."""
    return f"up session {name}"


def image_lane(profile: Profile) -> str:
    """Return the lane, and key, of getting a profile's image."""
    return f"image {profile.image_ref}"


def warm_lane(profile: ProfileName) -> str:
    """Return the lane, and key, of filling a profile's warm pool."""
    return f"warm {profile}"


def keys(action: Action) -> frozenset[str]:
    """Return what the action works on."""
    match action:
        case PullImage(profile=profile):
            return frozenset({image_lane(profile)})
        case CreateWarm(profile=profile):
            return frozenset({warm_lane(profile.name)})
        case Create(session=session) | Close(session=session):
            return frozenset({session_key(session.name)})
        case Claim(sandbox=sandbox, session=session):
            return frozenset({session_key(session.name), f"container {sandbox.id}"})
        case _:
            session_keys = {session_key(s) for s in [action.sandbox.session] if s}
            return frozenset({f"container {action.sandbox.id}"} | session_keys)


def lane(action: Action) -> str:
    """Return what is held back for a while when the action fails."""
    match action:
        case PullImage(profile=profile):
            return image_lane(profile)
        case CreateWarm(profile=profile):
            return warm_lane(profile.name)
        case Create(session=session) | Claim(session=session):
            return up_lane(session.name)
        case Start(sandbox=sandbox) | Attach(sandbox=sandbox) | SetUp(sandbox=sandbox):
            return up_lane(sandbox.session) if sandbox.session else warm_lane(sandbox.profile)
        case Close(session=session):
            return f"close {session.name}"
        case Stop(sandbox=sandbox) | Remove(sandbox=sandbox):
            return f"down {sandbox.id}"
        case Pause(sandbox=sandbox) | Resume(sandbox=sandbox) | Update(sandbox=sandbox):
            return f"change {sandbox.id}"
