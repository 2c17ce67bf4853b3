"""deepd keeps agents' sandboxes as their profiles say, and holds the risky calls for a human.

What is public here is loaded when it is first asked for, so that importing deepd costs nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from deepd.errors import (
        CallLostError,
        CallTimeoutError,
        DeepdError,
        DeniedError,
        EngineDownError,
        EngineError,
        FileError,
        ImageNotFoundError,
        OwnedError,
        SandboxError,
        SandboxStopped,
    )
    from deepd.integrations.pydantic_ai import (
        DeepAgentDeps,
        DeepdApprovals,
        DeepdWorkspace,
        create_deep_agent,
    )
    from deepd.library.connection import (
        AsyncConnection,
        AsyncDaemonSandbox,
        Connection,
        DaemonSandbox,
        connect,
        connect_async,
    )
    from deepd.library.local import AsyncLocalBackend, LocalBackend
    from deepd.library.manager import AsyncSessionManager, SessionManager
    from deepd.library.protocols import BackendProtocol, SandboxProtocol
    from deepd.library.results import (
        EditResult,
        ExecuteResponse,
        FileInfo,
        GrepMatch,
        WriteResult,
    )
    from deepd.library.runtimes import BUILTIN_RUNTIMES, RuntimeConfig
    from deepd.library.sandbox import AsyncDockerSandbox, DockerSandbox
    from deepd.library.wish import SandboxOptions

__version__ = "0.1.0"

_HOMES = {
    "deepd.errors": (
        "CallLostError CallTimeoutError DeepdError DeniedError EngineDownError EngineError"
        " FileError ImageNotFoundError OwnedError SandboxError SandboxStopped"
    ),
    "deepd.integrations.pydantic_ai": (
        "DeepAgentDeps DeepdApprovals DeepdWorkspace create_deep_agent"
    ),
    "deepd.library.connection": (
        "AsyncConnection AsyncDaemonSandbox Connection DaemonSandbox connect connect_async"
    ),
    "deepd.library.local": "AsyncLocalBackend LocalBackend",
    "deepd.library.manager": "AsyncSessionManager SessionManager",
    "deepd.library.protocols": "BackendProtocol SandboxProtocol",
    "deepd.library.results": "EditResult ExecuteResponse FileInfo GrepMatch WriteResult",
    "deepd.library.runtimes": "BUILTIN_RUNTIMES RuntimeConfig",
    "deepd.library.sandbox": "AsyncDockerSandbox DockerSandbox",
    "deepd.library.wish": "SandboxOptions",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "BUILTIN_RUNTIMES",
    "AsyncConnection",
    "AsyncDaemonSandbox",
    "AsyncDockerSandbox",
    "AsyncLocalBackend",
    "AsyncSessionManager",
    "BackendProtocol",
    "CallLostError",
    "CallTimeoutError",
    "Connection",
    "DaemonSandbox",
    "DeepAgentDeps",
    "DeepdApprovals",
    "DeepdError",
    "DeepdWorkspace",
    "DeniedError",
    "DockerSandbox",
    "EditResult",
    "EngineDownError",
    "EngineError",
    "ExecuteResponse",
    "FileError",
    "FileInfo",
    "GrepMatch",
    "ImageNotFoundError",
    "LocalBackend",
    "OwnedError",
    "RuntimeConfig",
    "SandboxError",
    "SandboxOptions",
    "SandboxProtocol",
    "SandboxStopped",
    "SessionManager",
    "WriteResult",
    "__version__",
    "connect",
    "connect_async",
    "create_deep_agent",
]


if not TYPE_CHECKING:  # else a name that is not there would pass for one that is

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module 'deepd' has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - late: importing deepd needs none

        value = getattr(import_module(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
