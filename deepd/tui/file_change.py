"""FileChange: what a held `write_file` or `edit_file` would do to a file, as far as is known."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

FILE_TOOLS = frozenset({"write_file", "edit_file"})


@dataclass(frozen=True)
class Current:
    """A file as it was when it was read, or why it was not."""

    text: str | None = None
    """`None`: not known; empty where there is no file."""
    exists: bool = True
    why: str = ""
    at: float = 0.0


@dataclass(frozen=True)
class Body:
    """What came as the request's body of a `write_file`, or why it could not be read."""

    text: str | None = None
    why: str = ""


def new_text(args: dict[str, Any], body: Body | None) -> str | None:
    """Return the text that a `write_file` writes; `None` when it is no text or not known."""
    if isinstance(args.get("content"), str):
        return str(args["content"])
    if isinstance(args.get("content_base64"), str):
        try:
            return base64.b64decode(args["content_base64"], validate=True).decode()
        except (binascii.Error, ValueError):
            return None
    return body.text if body else None


def edited(args: dict[str, Any], current: str) -> tuple[str, int]:
    """Return the text after an `edit_file`, and how often it finds what it replaces."""
    old, new = str(args.get("old", "")), str(args.get("new", ""))
    found = current.count(old) if old else 0
    return current.replace(old, new, -1 if args.get("replace_all") else 1), found
