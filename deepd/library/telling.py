"""Telling: errors as their texts are shown to a person who has only those."""

from __future__ import annotations

from deepd.errors import (
    ArgumentsError,
    CallLostError,
    CallTimeoutError,
    DeepdError,
    DeniedError,
    FileError,
    LimitError,
    ProtocolError,
    TooLargeError,
)

IN_RESULT = (
    FileError,
    ArgumentsError,
    TooLargeError,
    LimitError,
    DeniedError,
    CallLostError,
    CallTimeoutError,
    ProtocolError,
)
"""What a file operation reports in its result; that there is no sandbox at all is raised."""


def said(error: DeepdError) -> str:
    """Return what happened and what to do about it, in one line."""
    return f"{error.detail} ({error.next_step})" if error.next_step else error.detail


def with_next_step(error: DeepdError) -> DeepdError:
    """Make `str(error)` say what to do too: a traceback shows nothing else."""
    error.args = (said(error),)
    return error
