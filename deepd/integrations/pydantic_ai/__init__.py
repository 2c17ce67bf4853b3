"""deepd for pydantic-ai: an agent with a sandbox, a workspace, and approvals by the daemon."""

from deepd.integrations.pydantic_ai.agent import DeepAgent, create_deep_agent
from deepd.integrations.pydantic_ai.approvals import DeepdApprovals
from deepd.integrations.pydantic_ai.backend import DeepAgentDeps
from deepd.integrations.pydantic_ai.console import create_console_toolset
from deepd.integrations.pydantic_ai.interrupt import InterruptOn
from deepd.integrations.pydantic_ai.models import models_replaced
from deepd.integrations.pydantic_ai.result import DeepAgentRunResult, HeldCall
from deepd.integrations.pydantic_ai.trouble import WorkspaceDeniedError
from deepd.integrations.pydantic_ai.workspace import DeepdWorkspace
from deepd.integrations.pydantic_ai.workspace_backend import DeepdWorkspaceBackend

__all__ = [
    "DeepAgent",
    "DeepAgentDeps",
    "DeepAgentRunResult",
    "DeepdApprovals",
    "DeepdWorkspace",
    "DeepdWorkspaceBackend",
    "HeldCall",
    "InterruptOn",
    "WorkspaceDeniedError",
    "create_console_toolset",
    "create_deep_agent",
    "models_replaced",
]
