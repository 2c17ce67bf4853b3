"""A run's backend: found when a tool is called, and called without blocking the event loop."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.exceptions import UserError

from deepd.library.front import Backend
from deepd.library.loop import hand_over


@dataclass
class DeepAgentDeps:
    """What the tools of an agent made by `create_deep_agent` work with."""

    backend: Any = None
    """The sandbox or folder that the tools act on: a `SandboxProtocol` or a `BackendProtocol`,
    synchronous or not. `None` takes the one that the agent was made with."""


def find_backend(ctx: RunContext[Any], default: Any = None) -> Any:
    """Return the backend of this run, or raise `UserError` where there is none."""
    backend = getattr(ctx.deps, "backend", None)
    found = default if backend is None else backend
    if found is None:
        raise UserError(
            "this agent has no backend to work on: pass "
            "`deps=DeepAgentDeps(backend=DockerSandbox(...))` to the run, "
            "or `backend=` to create_deep_agent()"
        )
    return found


def can_execute(backend: Any) -> bool:
    """Whether a backend runs commands; one may have the method and be told not to."""
    return callable(getattr(backend, "execute", None)) and bool(
        getattr(backend, "execute_enabled", True)
    )


async def use(backend: Any, method: str, *args: Any) -> Any:
    """Call a method of a backend: awaited where it is asynchronous, else without blocking.

    With deepd's own backends a cancelled run ends its command; a command of another synchronous
    backend goes on in its thread.
    """
    function = getattr(backend, method)
    if inspect.iscoroutinefunction(function):
        return await function(*args)
    if _is_ours(backend, method):
        return await hand_over(getattr(backend.twin, method)(*args))
    value = await asyncio.to_thread(function, *args)
    return await value if inspect.isawaitable(value) else value


def _is_ours(backend: Any, method: str) -> bool:
    """Whether a method is the synchronous face of a coroutine, and nobody has overridden it."""
    return isinstance(backend, Backend) and getattr(type(backend), method) is getattr(
        Backend, method
    )
