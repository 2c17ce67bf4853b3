"""What calls need of sessions: a sandbox to run in, and word of its coming and going."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

from deepd.guest.connection import Guest
from deepd.model.ids import ContainerId, ProfileName, SessionName
from deepd.model.profile import Profile
from deepd.model.session import SessionView
from deepd.sandbox.sandbox import Sandbox


class Live(Protocol):
    """A sandbox that is attached now."""

    @property
    def sandbox(self) -> Sandbox: ...

    @property
    def guest(self) -> Guest: ...

    @property
    def container(self) -> ContainerId: ...

    @property
    def image(self) -> str:
        """The image's digest."""
        ...


class Sessions(Protocol):
    """Sessions as calls see them; `SessionService` is the one in the daemon."""

    def open(self, name: SessionName, profile: ProfileName | None) -> Any:
        """Get or create; `ConflictError` when it exists with another profile."""
        ...

    def view(self, name: SessionName) -> SessionView:
        """Return a session as it is now; `NotFoundError` when there is none."""
        ...

    def profile_of(self, name: SessionName) -> Profile:
        """Return the profile in force for a session; `NotFoundError` without session or profile."""
        ...

    def live(self, name: SessionName) -> Live | None:
        """Return the attached sandbox, without waiting."""
        ...

    async def ready(self, name: SessionName, *, within: float) -> Live:
        """Wake the session and wait until its sandbox is attached and set up."""
        ...

    def busy(
        self, name: SessionName, kind: Literal["running", "held"]
    ) -> AbstractContextManager[Any]:
        """Keep the session from idling and from being recreated."""
        ...

    def on_attached(self, callback: Callable[[SessionName, Any], None]) -> None:
        """Call back after every attach, before `ready()` returns."""
        ...

    def on_gone(self, callback: Callable[[SessionName, ContainerId, str], None]) -> None:
        """Call back when a container is gone, with the cause."""
        ...

    def on_closed(self, callback: Callable[[SessionName], None]) -> None:
        """Call back when a session is no more."""
        ...
