"""Shutdown: ends every sandbox when the daemon ends; workspaces stay."""

from __future__ import annotations

import asyncio

from deepd.daemon.books import Books
from deepd.daemon.desk import Desk
from deepd.engine.base import Engine
from deepd.model.sandbox import Sandbox, SandboxState
from deepd.reconcile.action import Remove, Stop
from deepd.reconcile.executor import Executor

AT_ONCE = 8
LOOKS = 3
CAUSE = "the daemon stops"


async def stop_all(engine: Engine, executor: Executor, desk: Desk, books: Books) -> None:
    """Stop every container and remove it, unless its profile keeps stopped ones.

    One that cannot be stopped keeps nobody from being stopped; its error is raised at the end.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    def keeps(sandbox: Sandbox) -> bool:
        profile = books.profile(sandbox.profile)
        return profile is not None and not profile.auto_remove and sandbox.session is not None

    def is_kept(sandbox: Sandbox) -> bool:
        return keeps(sandbox) and sandbox.state is SandboxState.STOPPED

    async def end(sandbox: Sandbox) -> None:
        actions: list[Stop | Remove] = [Stop(sandbox, CAUSE)]
        actions += [] if keeps(sandbox) else [Remove(sandbox, CAUSE)]
        async with turns:
            for action in actions:
                await executor.execute(action)
                await desk.done(action, None)

    # What was being created when the loop ended appears a moment later.
    await executor.settle()
    for _ in range(LOOKS):
        found = [box for box in await engine.observe() if not is_kept(box)]
        if not found:
            return
        for result in await asyncio.gather(*map(end, found), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
