"""Find: what the containers that are there already mean for a wish."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from deepd.engine.base import Engine
from deepd.errors import ConflictError, EngineError, OwnedError
from deepd.library.wish import KEPT, LIBRARY, UNNAMED, Wish
from deepd.model.ids import ContainerId
from deepd.model.sandbox import Sandbox, SandboxState
from deepd.sandbox.owner import OwnerLock

logger = logging.getLogger(__name__)

Step = Literal["create", "start", "attach", "remove"]

_UP = (SandboxState.RUNNING, SandboxState.PAUSED)
_DOWN = (SandboxState.CREATED, SandboxState.STOPPED)


class NotUsableError(Exception):
    """The container that a sandbox had is gone for good; the text says how."""


def next_step(wish: Wish, found: Sandbox | None, own: ContainerId | None) -> Step:
    """Return what brings the wished container closer; `own` is the one that was used before.

    Raises `NotUsableError` when that one is no more, so that nobody works on in an empty one.
    """
    if own is not None:
        return _continue(wish, found, own)
    if found is None:
        return "create"
    is_same = found.spec_hash == wish.profile.container_hash()
    if found.state in _UP and is_same:
        return "attach"
    if found.profile == KEPT:
        if not is_same:
            raise ConflictError(
                f"a container of the session {wish.session} was kept, with another image, volumes"
                " or settings",
                next_step=f"`docker rm -f {found.name}` to lose it, or use another session id",
            )
        if found.state in _DOWN:
            return "start"
    # Left by a process that is no more: what was in the container goes, as if it had been stopped.
    return "remove"


def _continue(wish: Wish, found: Sandbox | None, own: ContainerId) -> Step:
    if found is None or found.id != own:
        raise NotUsableError(f"the container of the sandbox {wish.session} was removed")
    if found.state in _UP:
        return "attach"
    if found.state is SandboxState.CREATED or (
        found.state is SandboxState.STOPPED and found.exit_code == 0
    ):
        return "start"
    code = "" if found.exit_code is None else f" with exit code {found.exit_code}"
    raise NotUsableError(f"the container of the sandbox {wish.session} ended{code}")


async def sweep(engine: Engine, wish: Wish, observed: Sequence[Sandbox]) -> None:
    """Remove what processes that are no more have left, under the wish's instance.

    What has a name and still runs is left alone: another process may go on with it.
    """
    for sandbox in observed:
        is_of_use = sandbox.profile == LIBRARY and sandbox.state in _UP
        is_ours = sandbox.profile in {LIBRARY, UNNAMED} and sandbox.session is not None
        if not is_ours or is_of_use or sandbox.session == wish.session:
            continue
        lock = OwnerLock(wish.owners(), ContainerId(str(sandbox.session)))
        with suppress(OwnedError), lock:
            try:
                await engine.remove(sandbox.id)
            except EngineError as error:
                logger.info("the left container %s: %s", sandbox.name, error)
