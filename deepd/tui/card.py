"""Cards: a held call as the person who decides reads it; exact and whole. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from deepd.model.duration import render_duration
from deepd.tui.diff import added, counts, diff_lines, whole
from deepd.tui.file_change import Body, Current, edited, new_text
from deepd.tui.gist import command_text
from deepd.tui.line import Line
from deepd.tui.moment import of_day
from deepd.tui.shown import many_lines, one_line
from deepd.tui.world import Json

_SHORT = 60
_SHA = 12
_DIGEST = re.compile("[0-9a-f]{64}")
_RULE = re.compile(r"(.*?):(\d+):(\d+)(?:: (.*))?", re.DOTALL)


def decisive_lines(
    approval: Json,
    *,
    current: Current | None = None,
    body: Body | None = None,
    whole_text: bool = False,
) -> tuple[Line, ...]:
    """Return all there is to read before deciding."""
    return (
        *_origin(approval),
        Line(""),
        *arguments(approval, current=current, body=body, whole_text=whole_text),
        Line(""),
        *_surroundings(approval),
    )


def arguments(
    approval: Json,
    *,
    current: Current | None = None,
    body: Body | None = None,
    whole_text: bool = False,
) -> Iterator[Line]:
    """Yield what was asked for, every argument of it."""
    args = dict(approval["args"])
    match approval["tool"]:
        case "execute":
            yield from (Line(text, "call") for text in many_lines(command_text(args)))
            if "argv" in args:
                yield Line("these words, without a shell", "quiet")
            args.pop("command" if "command" in args else "argv", None)
        case "write_file":
            yield from _write(args, current, body, whole_text=whole_text)
            for name in ("path", "content", "content_base64"):
                args.pop(name, None)
        case "edit_file":
            yield from _edit(args, current, whole_text=whole_text)
            for name in ("path", "old", "new"):
                args.pop(name, None)
        case _:
            pass
    for name, value in args.items():
        yield from _argument(name, value)


def _argument(name: str, value: Any) -> Iterator[Line]:
    if isinstance(value, str) and ("\n" in value or len(value) > _SHORT):
        yield Line(f"{one_line(name)}:", "quiet")
        yield from (Line(text) for text in many_lines(value))
    else:
        yield Line(f"{one_line(name)} = {one_line(json.dumps(value, ensure_ascii=False))}")


def _write(
    args: Json, current: Current | None, body: Body | None, *, whole_text: bool
) -> Iterator[Line]:
    path = one_line(args.get("path", ""))
    text = new_text(args, body)
    if text is None:
        yield Line(f"writes {path}", "bold")
        yield from _no_text(args, body)
        return
    size = f"{len(text.encode(errors='surrogatepass'))} bytes"
    if args.get("append"):
        yield Line(f"appends to {path}   {size}", "bold")
        yield from whole(text)
        return
    if whole_text or current is None or current.text is None:
        yield Line(f"writes {path}   {size}", "bold")
        yield from _known(current)
        yield from whole(text)
    elif not current.exists:
        yield Line(f"makes {path}   {size}", "bold")
        yield from whole(text)
    else:
        change = diff_lines(current.text, text)
        yield Line(f"changes {path}   {counts(change)}   {size}", "bold")
        yield from _known(current)
        yield from change or [Line("the file has this content already", "quiet")]
    if not text:
        yield Line("nothing: the file will be empty", "warn")


def _no_text(args: Json, body: Body | None) -> Iterator[Line]:
    if isinstance(args.get("content_base64"), str):
        yield Line("no text; in base64:", "quiet")
        yield Line(one_line(args["content_base64"]), "add", "+")
    elif body is not None:
        yield Line(one_line(body.why) or "its content is being read", "warn")
    else:
        yield Line("it writes no content", "warn")


def _edit(args: Json, current: Current | None, *, whole_text: bool) -> Iterator[Line]:
    path = one_line(args.get("path", ""))
    if current is None or current.text is None or not current.exists:
        yield Line(f"edits {path}", "bold")
        yield from _known(current)
        if current is not None and not current.exists:
            yield Line("there is no such file: it will fail", "warn")
        yield from _replacement(args)
        return
    after, found = edited(args, current.text)
    if whole_text:
        yield Line(f"edits {path}; the whole file after it:", "bold")
        yield from whole(after)
        return
    change = diff_lines(current.text, after)
    yield Line(f"edits {path}   {counts(change)}", "bold")
    yield from _known(current)
    if found == 0:
        yield Line("what it looks for is not in the file: it will fail", "warn")
    elif found > 1 and not args.get("replace_all"):
        yield Line(f"what it looks for is there {found} times: it will fail", "warn")
    yield from change if found else _replacement(args)


def _replacement(args: Json) -> Iterator[Line]:
    for name, sign in (("old", "-"), ("new", "+")):
        yield from added([str(args.get(name, "")) + "\n"], sign)


def _known(current: Current | None) -> Iterator[Line]:
    if current is not None and current.why:
        yield Line(one_line(current.why), "warn")
    elif current is not None and current.at:
        yield Line(f"against the file as it was at {of_day(current.at)}", "quiet")


def _origin(approval: Json) -> Iterator[Line]:
    yield Line(f"held by {_rule(approval.get('rule', ''))}", "quiet")
    client = one_line(approval.get("client", ""))
    who = f"{client} (uid {approval.get('uid')})" if client else f"uid {approval.get('uid')}"
    where = f"{one_line(approval['session'])} ({one_line(approval['profile'])})"
    yield Line(f"asked by {who} at {of_day(approval['asked_at'])} in {where}", "quiet")


def _rule(rule: str) -> str:
    """Return where in a profile it is, and what is written there."""
    if found := _RULE.fullmatch(rule):
        path, number, column, written = found.groups()
        place = f"{path.rpartition('/')[2]}:{number}:{column}"
        return f"{one_line(place)}   {one_line(written or '')}".rstrip()
    return one_line(rule) or "its profile"


def _surroundings(approval: Json) -> Iterator[Line]:
    """Yield what it would run with; secrets by name."""
    context: Json = approval.get("context") or {}
    parts = _named(context, {"in": "cwd", "as": "user", "network": "network"})
    if context.get("timeout"):
        parts.append(f"timeout {render_duration(context['timeout'])}")
    if context.get("background"):
        parts.append("in the background")
    for group in (parts, _named(context, {"image": "image", "shell": "shell"})):
        if group:
            yield Line("   ".join(group), "quiet")
    env = [f"{name}={value}" for name, value in (context.get("env") or {}).items()]
    secrets = [f"{name} (secret)" for name in context.get("secrets") or ()]
    if env or secrets:
        yield Line("env " + "   ".join(one_line(item) for item in (*env, *secrets)), "quiet")
    for volume in context.get("volumes") or ():
        read_only = " (read-only)" if volume.get("read_only") else ""
        place = f"{one_line(volume.get('source'))} at {one_line(volume.get('target'))}"
        yield Line(f"mounts {place}{read_only}", "quiet")
    yield from _files(context)
    if written := context.get("body"):
        yield Line(f"body {written.get('size')} bytes   sha256 {written.get('sha256')}", "quiet")


def _files(context: Json) -> Iterator[Line]:
    """Yield the files that a command names, as they were when it was held."""
    files: Json = context.get("files") or {}
    bound = {path: known for path, known in files.items() if _DIGEST.fullmatch(known)}
    for path, known in bound.items():
        yield Line(f"names {one_line(path)}   sha256 {known[:_SHA]}", "quiet")
    if bound:
        yield Line("bound: a change of what it names puts it back here", "quiet")
    for path in sorted(files.keys() - bound.keys()):
        yield Line(f"names {one_line(path)}   {one_line(files[path])}", "warn")
    if unknown := context.get("files_unknown"):
        yield Line(f"names files that are not known yet: {one_line(unknown)}", "warn")


def _named(context: Json, words: dict[str, str]) -> list[str]:
    return [f"{word} {one_line(context[key])}" for word, key in words.items() if context.get(key)]
