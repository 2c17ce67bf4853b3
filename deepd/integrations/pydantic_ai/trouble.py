"""Errors of the daemon's as those that pydantic-ai's workspaces raise."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic_ai.workspaces import (
    WorkspaceError,
    WorkspaceTimeoutError,
    WorkspaceUnavailableError,
)

from deepd.errors import (
    BY_CODE,
    ArgumentsError,
    CallLostError,
    CallTimeoutError,
    DeepdError,
    DeniedError,
    FileError,
    GoneError,
    ImageNotFoundError,
    SandboxStopped,
    TooLargeError,
)


class WorkspaceDeniedError(WorkspaceError, PermissionError):
    """A rule or a person said no to an operation, which was not carried out."""


_GONE = (GoneError, CallLostError, SandboxStopped, ImageNotFoundError)
"""Errors after which nothing in this environment succeeds, or may be tried again blindly."""


@contextmanager
def translated(path: str = "") -> Iterator[None]:
    """Raise what workspaces raise in place of the daemon's errors; others go through as they are.

    What goes through (a daemon or an engine that is down, a limit) may be better later.
    """
    try:
        yield
    except DeepdError as error:
        raise translate(error, path) from error


def translate(error: DeepdError, path: str = "") -> Exception:
    """Return the error that pydantic-ai knows, or the same one."""
    match error:
        case FileError():
            return _os_error(error, path)
        case CallTimeoutError():
            return WorkspaceTimeoutError(str(error), stdout=error.output.decode(errors="replace"))
        case DeniedError():
            return WorkspaceDeniedError(str(error))
        case TooLargeError():
            return OSError(errno.EFBIG, str(error), path)
        case ArgumentsError():
            return ValueError(str(error))
        case _:
            return WorkspaceUnavailableError(str(error)) if isinstance(error, _GONE) else error


def _os_error(error: FileError, path: str) -> OSError:
    """Return the builtin error: `OSError` picks its own subclass by the number."""
    number = getattr(errno, error.errno_name, errno.EIO)
    return OSError(number, str(error), path)


def of_call(call: dict[str, Any], stdout: str, stderr: str) -> Exception | None:
    """Return the error that the end of an execute means; `None` when the command ended itself."""
    reason = str(call["reason"])
    match call["state"]:
        case "finished":
            return None
        case "timed_out":
            return WorkspaceTimeoutError(
                reason or "the command timed out", stdout=stdout, stderr=stderr
            )
        case "denied" | "expired":
            return WorkspaceDeniedError(reason or "the command was denied")
        case "lost":
            return WorkspaceUnavailableError(reason or "the container went away under the command")
        case "failed":
            return translate(_failure(call))
        case state:
            return WorkspaceError(f"the command was {state}: {reason}")


def _failure(call: dict[str, Any]) -> DeepdError:
    problem = call["result"].get("error") or {}
    cls = BY_CODE.get(str(problem.get("code")), DeepdError)
    return cls(str(problem.get("detail") or call["reason"]))
