"""DeepdApprovals: what any pydantic-ai agent must ask for waits in the daemon's inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_ai import RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, ToolApproved, ToolDenied

from deepd.client.async_ import AsyncClient
from deepd.integrations.pydantic_ai.inbox import Inbox
from deepd.integrations.pydantic_ai.unfit import why_unfit
from deepd.integrations.pydantic_ai.workspace_backend import DeepdWorkspaceBackend, agent_socket

if TYPE_CHECKING:
    from pathlib import Path

PROBLEM = "invalid_edit"
"""The argument under which a person finds what was wrong with the arguments that they gave."""
_MAX_EDITS = 20
_Decision: TypeAlias = ToolApproved | ToolDenied
_DEFAULT_SESSION = "main"


@dataclass
class DeepdApprovals(AbstractCapability[Any]):
    """Sends calls that need approval to the daemon, and goes on when a person has decided.

    ```python
    from pydantic_ai import Agent
    from deepd import DeepdApprovals

    agent = Agent("openai:gpt-4.1", capabilities=[DeepdApprovals(name="deployer")])

    @agent.tool_plain(requires_approval=True)
    def deploy(target: str) -> str: ...
    ```

    The person sees tool and arguments in the dashboard, or decides with `deepd approve` and
    `deepd deny`. The profile decides first, by its `interrupt_on` and `approvals.default`. A
    denial, and a deadline that passed, is told to the model. A tool that is called as one of
    deepd's own goes by `agent:`, such as `agent:execute`: it is asked for, and runs here.

    The run waits as long as the daemon holds the call, also across restarts of the daemon. A
    cancelled run takes its calls back. Arguments that the person edited are checked by the tool's
    own validation; where they do not fit nothing runs, and the call is held once more with those
    arguments and, under `invalid_edit`, what is wrong with them.
    """

    _: KW_ONLY

    session: str | None = None
    """The session that the calls belong to; that of the run's `DeepdWorkspace`, else `main`."""

    profile: str | None = None
    """The profile of the session, where it is not there yet and the daemon has several."""

    name: str = ""
    """What the person sees of who asks, such as the agent's name."""

    socket_path: Path | str | None = None
    """The daemon's socket; that for agents when left out."""

    reconnect: float = 600.0
    """Seconds that the daemon may be away; then `DaemonDownError` is raised. One that was never
    there is not waited for."""

    _has_answered: bool = field(default=False, init=False, repr=False)

    async def handle_deferred_tool_calls(
        self, ctx: RunContext[Any], *, requests: DeferredToolRequests
    ) -> DeferredToolResults | None:
        """Wait for a decision on each call that needs approval; leave all others alone."""
        if not requests.approvals:
            return None
        async with AsyncClient(self.socket_path or agent_socket(), name=self.name) as client:
            inbox = Inbox(client, self._session(ctx), self.profile, self.reconnect)
            inbox.has_answered = self._has_answered
            decisions = await _all([_decision(ctx, inbox, call) for call in requests.approvals])
            self._has_answered = inbox.has_answered
        ids = [call.tool_call_id for call in requests.approvals]
        return requests.build_results(approvals=dict(zip(ids, decisions, strict=True)))

    def _session(self, ctx: RunContext[Any]) -> str:
        backend = ctx.workspace.backend
        if self.session is None and isinstance(backend, DeepdWorkspaceBackend):
            return backend.session or _DEFAULT_SESSION
        return self.session or _DEFAULT_SESSION


async def _all(asking: Sequence[Coroutine[Any, Any, _Decision]]) -> list[_Decision]:
    """Return all decisions; where one cannot be had the others are not waited for."""
    try:
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(each) for each in asking]
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return [task.result() for task in waiting]


async def _decision(ctx: RunContext[Any], inbox: Inbox, call: ToolCallPart) -> _Decision:
    """Return what was decided, once it is something that can be carried out."""
    asked = call.args_as_dict()
    shown = asked
    for attempt in range(_MAX_EDITS):
        key = f"{ctx.run_id}/{ctx.run_step}/{call.tool_call_id}/{attempt}"
        answer = await inbox.ask(call.tool_name, shown, key)
        if answer.args is None:
            return ToolDenied(answer.reason)
        args = {name: value for name, value in answer.args.items() if name != PROBLEM}
        if args == asked:
            return ToolApproved()
        problem = await why_unfit(ctx, call, args)
        if not problem:
            return ToolApproved(override_args=args)
        shown = args | {PROBLEM: problem}
    return ToolDenied("The arguments that a person gave do not fit the tool.")
