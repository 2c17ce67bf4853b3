"""The grants as a file for people: written anew with every change, and never read."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepd.model.grant import Grant

_HEAD = """\
# What deepd remembers: calls that run without asking again, each exactly as it was approved.
# deepd writes this file and does not read it: `deepd grants` lists them too, with what is left of
# each, and `deepd grants revoke ID` ends one.
"""


def write_grants(path: Path, grants: Sequence[Grant], now: float) -> None:
    """Replace the file as a whole."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(render_grants(grants, now))
    temporary.replace(path)


def render_grants(grants: Sequence[Grant], now: float) -> str:
    """Return the file's text: plain ASCII, so that nothing in it hides or moves a cursor."""
    import tomli_w  # noqa: PLC0415 - few daemons ever remember anything

    tables = [_table(grant) for grant in grants]
    text = tomli_w.dumps({"written_at": _time(now), "grant": tables})
    return _HEAD + "".join(char if char.isascii() else _escaped(char) for char in text)


def _table(grant: Grant) -> dict[str, Any]:
    """Return what a person wants to know; what is not there is left out."""
    command = grant.args.get("command")
    shown = {
        "id": grant.id,
        "scope": grant.scope,
        "session": grant.session,
        "profile": grant.profile,
        "tool": grant.tool,
        "command": command if isinstance(command, str) else None,
        "args": json.dumps({key: grant.args[key] for key in grant.args if key != "command"}),
        "cwd": grant.context.get("cwd"),
        "files": grant.context.get("files") or None,
        "body_sha256": (grant.context.get("body") or {}).get("sha256"),
        "asked_by": grant.asked_by,
        "granted_by": grant.granted_by,
        "granted_at": _time(grant.granted_at),
        "until": None if grant.until is None else _time(grant.until),
        "count": grant.count,
    }
    return {key: _encodable(value) for key, value in shown.items() if value not in (None, "{}")}


def _encodable(value: Any) -> Any:
    """Spell out what TOML cannot say: a lone surrogate is no character there."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return value


def _escaped(char: str) -> str:
    """Return a character as TOML's basic strings spell it."""
    number = ord(char)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def _time(at: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).replace(microsecond=0)
