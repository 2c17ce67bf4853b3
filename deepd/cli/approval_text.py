"""What a person reads before deciding: all that will run, exactly, and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from deepd.cli.command_line import command_text
from deepd.cli.show import paint
from deepd.model.duration import render_duration
from deepd.model.visible import visible

_COMMAND = frozenset({"command", "argv"})


def render_approval(approval: dict[str, Any]) -> str:
    """Return the whole text; nothing is cut, and every hidden character is spelled out."""
    who = f", asked by {approval['client']}" if approval.get("client") else ""
    where = f"{approval['session']} ({approval['profile']})"
    title = visible(f"{approval['tool']} in {where}{who}", one_line=True)
    lines = [paint(title, "bold")]
    if approval.get("rule"):
        lines.append(f"  held by {visible(approval['rule'], one_line=True)}")
    around = filter(None, _surroundings(approval.get("context") or {}))
    lines += ["  " + visible(line, one_line=True) for line in around]
    return "\n".join([*lines, "", *render_args(approval["tool"], approval["args"]), ""])


def render_args(tool: str, args: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a call's arguments: the command as such, the rest by name."""
    rest = dict(args)
    if tool == "execute" and _COMMAND & set(args):
        yield from _block(command_text(args))
        rest = {key: value for key, value in args.items() if key not in _COMMAND}
    for key, value in rest.items():
        if isinstance(value, str) and ("\n" in value or len(value) > 60):
            yield f"  {visible(key, one_line=True)}:"
            yield from _block(value)
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"  {visible(key, one_line=True)}  {visible(text, one_line=True)}"


def _block(text: str) -> Iterator[str]:
    for line in visible(text).split("\n"):
        yield f"    {line}"


def _surroundings(context: dict[str, Any]) -> Iterator[str]:
    """Yield the lines on what it would run with; secrets and variables by name."""
    named = {"in": "cwd", "as": "user", "image": "image", "network": "network"}
    parts = [f"{word} {context[key]}" for word, key in named.items() if context.get(key)]
    if context.get("timeout"):
        parts.append(f"timeout {render_duration(context['timeout'])}")
    if context.get("background"):
        parts.append("in the background")
    yield "   ".join(parts)
    names = [
        *(context.get("env") or {}),
        *(f"{name} (secret)" for name in context.get("secrets") or ()),
    ]
    if names:
        yield "env " + " ".join(f"+{name}" for name in names)
    for volume in context.get("volumes") or ():
        read_only = " (read-only)" if volume.get("read_only") else ""
        yield f"mounts {volume.get('source')} at {volume.get('target')}{read_only}"
    for path, known in (context.get("files") or {}).items():
        yield f"names {path}  {known if ' ' in known else known[:8]}"
    if unknown := context.get("files_unknown"):
        yield f"names files that are not known yet: {unknown}"
    if body := context.get("body"):
        yield f"writes {body.get('size')} bytes, sha256 {body.get('sha256')}"
