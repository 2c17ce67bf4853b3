"""Failures: which of the stable codes an answer may have, by what a request does."""

from __future__ import annotations

ALWAYS = ("bad-request", "forbidden", "limit", "error", "daemon-down")
"""To any request: it is malformed, of another user or role, one too many, or comes at the end."""

BODY = ("too-large", "bad-arguments")
"""To a request with a body."""

NAMED = ("not-found",)
"""To a request that names something."""

REACH = (
    *NAMED,
    "conflict",
    "owned",
    "sandbox",
    "sandbox-stopped",
    "protocol",
    "lost",
    "bad-profile",
    "engine",
    "engine-down",
    "engine-timeout",
    "engine-refused",
    "image-not-found",
)
"""To a request that needs the session's sandbox, or changes what is wanted of it."""

CALL = (*REACH, *BODY, "denied", "timed-out", "gone")
"""To a request that makes a call and waits for its end."""

FILE = (*CALL, "file")
"""To a request that is a file tool's call."""
