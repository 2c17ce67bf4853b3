"""View: what the engine has, as the last list shows it and as what was done since has changed it.

What we did ourselves is known without asking. So the next step of a session need not wait for a
list, and a list that was asked for before a step was over does not take it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from deepd.model.ids import ContainerId
from deepd.model.sandbox import Sandbox, SandboxState
from deepd.reconcile.action import Action, Claim, Create, Remove, Start
from deepd.reconcile.step import container_hash


class View:
    """The sandboxes, by container."""

    def __init__(self) -> None:
        self.sandboxes: tuple[Sandbox, ...] = ()
        self.is_known = False
        """Whether the engine has been listed at all."""
        self._done: list[tuple[Action, ContainerId | None]] = []

    def asking(self) -> None:
        """Note that the engine is asked for a list: what was done by now will be in it."""
        self._done.clear()

    def listed(self, sandboxes: Sequence[Sandbox]) -> None:
        """Take a list, and what was done since it was asked for."""
        self.sandboxes, self.is_known = tuple(sandboxes), True
        for action, made in self._done:
            self._apply(action, made)

    def done(self, action: Action, made: ContainerId | None) -> None:
        """Note that an action is done, and which container it made."""
        self._done.append((action, made))
        self._apply(action, made)

    def _apply(self, action: Action, made: ContainerId | None) -> None:
        match action:
            case Create() if made and not any(box.id == made for box in self.sandboxes):
                self.sandboxes += (_created(action, made),)
            case Start(sandbox=sandbox):
                self._change(sandbox.id, state=SandboxState.RUNNING, exit_code=None)
            case Claim(sandbox=sandbox, session=session):
                self._change(sandbox.id, session=session.name)
            case Remove(sandbox=sandbox):
                self.sandboxes = tuple(box for box in self.sandboxes if box.id != sandbox.id)
            case _:
                pass

    def _change(self, container: ContainerId, **fields: Any) -> None:
        self.sandboxes = tuple(
            replace(box, **fields) if box.id == container else box for box in self.sandboxes
        )


def _created(create: Create, made: ContainerId) -> Sandbox:
    """Return a sandbox as its first list will show it, but for its image, which only that knows."""
    return Sandbox(
        made,
        create.session.name,
        create.session.name,
        create.profile.name,
        SandboxState.CREATED,
        container_hash(create.profile),
        generation=create.session.generation + 1,
    )


def is_listed(sandbox: Sandbox) -> bool:
    """Tell whether a list has shown it, and with it which image it is of."""
    return sandbox.image != ""
