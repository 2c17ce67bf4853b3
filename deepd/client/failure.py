"""What the clients say when the daemon cannot be reached or does not answer."""

from __future__ import annotations

from deepd.errors import CallTimeoutError, DaemonDownError, DeepdError, ForbiddenError


def cannot_connect(path: str, error: OSError) -> DeepdError:
    """Return the error for a socket that nobody could be reached at."""
    if isinstance(error, PermissionError):
        return ForbiddenError(
            f"the socket {path} belongs to somebody else",
            next_step="run as the user whose daemon it is",
        )
    if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
        return DaemonDownError(f"no daemon answers at {path}", next_step="deepd start -c PROFILE")
    return DaemonDownError(f"cannot reach a daemon at {path}: {error}", next_step="deepd doctor")


def lost(path: str) -> DaemonDownError:
    """Return the error for a daemon that went away before it answered."""
    return DaemonDownError(
        f"the daemon at {path} went away before it answered; what was asked may have happened",
        next_step="see `deepd status`, then ask again",
    )


def too_slow(timeout: float | None) -> CallTimeoutError:
    """Return the error for a daemon that is silent for longer than the caller waits."""
    return CallTimeoutError(
        f"the daemon was silent for {timeout:g} s" if timeout else "the daemon was silent",
        next_step="what was asked goes on; see `deepd ps`, or wait longer",
    )
