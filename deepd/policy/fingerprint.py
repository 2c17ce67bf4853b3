"""The fingerprint of a held call: one number over everything that decides what runs.

A decision echoes the fingerprint that was shown, and it is taken again when the call is admitted;
so nobody approves one thing while another one runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from deepd.errors import ArgumentsError

VERSION = 1
"""Goes up with the form of what is hashed, so that a fingerprint never means two things."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What an approval binds; each field that differs makes another fingerprint."""

    session: str
    profile_revision: str
    image_digest: str
    tool: str
    args: Mapping[str, Any]
    """Every argument, as JSON has it."""
    body_sha256: str = ""
    """Of the bytes that came beside the arguments."""
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    user: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    """The hashes of the workspace's files that the command names, by path."""


def fingerprint(bound: Bound) -> str:
    """Return 64 hexadecimal digits, or raise `ArgumentsError` for what JSON cannot say."""
    _check_keys(bound.args)
    try:
        text = json.dumps(
            {"version": VERSION, **asdict(bound)},
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=True,
            allow_nan=False,
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentsError(f"the arguments cannot be bound: {error}") from None
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _check_keys(value: Any) -> None:
    """Refuse keys that are no text: JSON would write `1` and `"1"` alike."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case Mapping() as table:
                if not all(isinstance(key, str) for key in table):
                    raise ArgumentsError("the arguments have a key that is not text")
                waiting.extend(table.values())
            case list() | tuple() as items:
                waiting.extend(items)
            case _:
                pass
