"""DeepdWorkspace: the capability that gives an agent's runs a workspace of the daemon's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from pydantic_ai import RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.run import AgentRunResult
from pydantic_ai.workspaces import ReadOnlyWorkspace, Workspace, WorkspaceBackend, WorkspaceRef

from deepd.integrations.pydantic_ai.workspace_backend import (
    PREFIX,
    PROVIDER,
    DeepdWorkspaceBackend,
    session_name,
)

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class DeepdWorkspace(AbstractCapability[Any]):
    """Gives runs a workspace (`ctx.workspace`) in a sandbox that the daemon keeps.

    ```python
    from pydantic_ai import Agent
    from deepd import DeepdWorkspace

    agent = Agent("openai:gpt-4.1", capabilities=[DeepdWorkspace(profile="python")])
    ```

    Every command and file operation is a call of the daemon's: its profile may hold it for a
    person or deny it. A run that continues a conversation continues in its workspace.
    """

    profile: str | None = None
    """The profile of the session; the daemon's only one when left out."""

    _: KW_ONLY

    session: str | None = None
    """The session to get or make. Without it every conversation has a new one, `agent-…`."""

    read_only: bool = False
    """Whether commands and changes are refused, besides what the profile says."""

    name: str = ""
    """What a person who decides sees of who asks, such as the agent's name."""

    socket_path: Path | str | None = None
    """The daemon's socket; that for agents when left out."""

    id: str | None = "deepd_workspace"
    """Fixed, so that a later `DeepdWorkspace` replaces an earlier one."""

    @classmethod
    def combine(cls, capabilities: Sequence[AbstractCapability[Any]]) -> AbstractCapability[Any]:
        """Let the last of several count, whole."""
        return capabilities[-1]

    def get_workspace(
        self,
        ctx: RunContext[Any],  # noqa: ARG002 - the hook's signature
        *,
        ref: WorkspaceRef | None,
    ) -> WorkspaceBackend | None:
        """Return the run's workspace, without I/O; `None` for a ref that is not this one's."""
        if ref is not None and not self._is_ours(ref):
            return None
        backend = DeepdWorkspaceBackend(
            profile=self.profile,
            session=self.session,
            ref=ref,
            socket_path=self.socket_path,
            name=self.name,
        )
        return ReadOnlyWorkspace(Workspace(backend)) if self.read_only else backend

    async def wrap_run(
        self, ctx: RunContext[Any], *, handler: Callable[[], Awaitable[AgentRunResult[Any]]]
    ) -> AgentRunResult[Any]:
        """Leave no connection open behind a run."""
        try:
            return await handler()
        finally:
            backend = ctx.workspace.backend
            if isinstance(backend, DeepdWorkspaceBackend):
                backend.close()

    def _is_ours(self, ref: WorkspaceRef) -> bool:
        # A conversation comes from outside: it leads to no session but those made for runs.
        if ref.provider != PROVIDER:
            return False
        name = session_name(ref)
        return name.startswith(PREFIX) if self.session is None else name == self.session
