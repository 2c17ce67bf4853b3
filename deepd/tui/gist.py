"""Gist: a call in a few words, for lists; never for a decision. Pure."""

from __future__ import annotations

import json
import shlex

from deepd.tui.world import Json


def title(approval: Json) -> str:
    """Return the call in a few words, for a list."""
    args = approval["args"]
    return command_text(args) if approval["tool"] == "execute" else str(args.get("path", ""))


def command_text(args: Json) -> str:
    """Return the command of an `execute`: shell text as it is, words quoted for a shell."""
    if isinstance(args.get("command"), str):
        return str(args["command"])
    if isinstance(args.get("argv"), list):
        return shlex.join(str(word) for word in args["argv"])
    return json.dumps(args, ensure_ascii=False)
