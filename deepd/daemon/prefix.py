"""Ids as people type them: the beginning is enough where it is unique."""

from __future__ import annotations

from deepd.errors import BadRequestError, DeepdError, NotFoundError

_LEAST_PREFIX = 4


def checked_prefix(text: str) -> str:
    """Return the beginning of an id, or raise `BadRequestError`."""
    if not _LEAST_PREFIX <= len(text) <= 32 or set(text) - set("0123456789abcdef"):
        raise BadRequestError(
            f"{text[:80]!r} is not an id",
            next_step=f"an id is 32 hexadecimal digits, of which the first {_LEAST_PREFIX} or more "
            "are enough where they are unique",
        )
    return text


def not_one(what: str, prefix: str, found: int) -> DeepdError:
    """Return the error for an id that names none, or more than one."""
    if found:
        return BadRequestError(
            f"more than one {what} begins with {prefix}", next_step="give more of its digits"
        )
    return NotFoundError(f"there is no {what} {prefix}")
