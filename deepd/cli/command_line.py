"""What a call does, in words: its command, or its tool and path; exact, never cut."""

from __future__ import annotations

import json
from typing import Any


def command_of(call: dict[str, Any]) -> str:
    """Return one text for a call or an approval."""
    args = call.get("args") or {}
    if call["tool"] == "execute":
        return command_text(args)
    path = args.get("path") or args.get("pattern")
    return f"{call['tool']} {path}" if isinstance(path, str) else f"{call['tool']} {_json(args)}"


def command_text(args: dict[str, Any]) -> str:
    """Return the command of an `execute`: shell text as it is, words quoted for a shell."""
    if isinstance(args.get("command"), str):
        return str(args["command"])
    if isinstance(args.get("argv"), list):
        from shlex import join  # noqa: PLC0415 - most commands need no quoting

        return join(str(word) for word in args["argv"])
    return _json(args)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
