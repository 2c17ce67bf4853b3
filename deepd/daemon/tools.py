"""The console tools' arguments: from untrusted JSON to frozen requests, or one clear refusal."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deepd.daemon.fields import MAX_PATH, Fields
from deepd.errors import ArgumentsError, TooLargeError
from deepd.model.body import Body
from deepd.model.duration import render_duration
from deepd.model.profile import CONSOLE_TOOLS, Limits

MAX_WORD = (128 << 10) - 1
"""One word of a command: the kernel's own limit (MAX_ARG_STRLEN)."""
MAX_COMMAND = 512 << 10
"""All words and variables together, so that they fit in one request to the guest."""
MAX_CONTENT = 1 << 20
"""Content inside of JSON; more comes as the request's body."""
MAX_FOREIGN = 1 << 20

_TOOL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Execute:
    """Run a command by the shell, or words as they are."""

    words: tuple[str, ...]
    shell: bool
    timeout: float
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = ""
    stdin: bytes | None = None
    pty: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ReadFile:
    """Bytes of a file."""

    path: str
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Replace, or append to, a file; `content` is `None` when the bytes came as the body."""

    path: str
    content: bytes | None
    mode: int | None = None
    append: bool = False


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """Make a folder, with those above it; a `write_file` to the policy."""

    path: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a file or a folder; a `write_file` to the policy."""

    path: str
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class Rename:
    """Move a file or a folder, in place of what is there; a `write_file` to the policy."""

    path: str
    to: str


@dataclass(frozen=True, slots=True)
class EditFile:
    """Replace text in a file."""

    path: str
    old: str
    new: str
    replace_all: bool = False


@dataclass(frozen=True, slots=True)
class Ls:
    """List a folder, or with `stat` describe one path; `follow` describes what links lead to."""

    path: str
    stat: bool = False
    follow: bool = False


@dataclass(frozen=True, slots=True)
class RealPath:
    """Where a path leads, whether something is there or not; an `ls` to the policy."""

    path: str


@dataclass(frozen=True, slots=True)
class Glob:
    """Find files by name."""

    pattern: str
    path: str = "."
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Grep:
    """Find lines by a regular expression."""

    pattern: str
    path: str = "."
    glob: str | None = None
    ignore_hidden: bool = True


@dataclass(frozen=True, slots=True)
class Foreign:
    """An agent's own tool: deepd only asks whether it may run."""

    args: dict[str, Any]


Change = MakeFolder | Remove | Rename
ToolRequest = (
    Execute | ReadFile | WriteFile | Change | EditFile | Ls | RealPath | Glob | Grep | Foreign
)


def parse_tool_request(
    tool: str,
    args: Mapping[str, Any],
    limits: Limits,
    *,
    body: Body | None = None,
    timeout: float | None = None,
) -> ToolRequest:
    """Return what a call asks for; `ArgumentsError` names the field that does not fit.

    `timeout` is what an `execute` gets that names none.
    """
    if not isinstance(args, dict):
        raise ArgumentsError("args: must be an object")
    if body is not None and tool != "write_file":
        raise ArgumentsError(f"{tool} takes no body; only write_file does")
    if tool not in CONSOLE_TOOLS:
        return _foreign(tool, args)
    fields = Fields(tool, args)
    request = _console(tool, fields, limits, body, timeout)
    fields.end()
    return request


def _console(
    tool: str, fields: Fields, limits: Limits, body: Body | None, timeout: float | None
) -> ToolRequest:
    match tool:
        case "execute":
            return _execute(fields, limits, timeout)
        case "write_file":
            return _write_file(fields, body)
        case _:
            return _FILE_TOOLS[tool](fields)


def _execute(fields: Fields, limits: Limits, timeout: float | None) -> Execute:
    command = fields.take("command", str, "a text")
    argv = fields.take("argv", list, "a list of texts")
    if (command is None) == (argv is None):
        raise fields.error("command", "or argv is needed, and not both")
    words = (command,) if argv is None else tuple(argv)
    name = "command" if argv is None else "argv"
    for word in words:
        if not isinstance(word, str):
            raise fields.error(name, "must be a list of texts")
        fields.check_text(name, word, MAX_WORD)
    if not words or not words[0].strip():
        raise fields.error(name, "is empty")
    env = _env(fields)
    if _size(*words, *env, *env.values()) > MAX_COMMAND:
        raise fields.error(name, f"and env are too long; at most {MAX_COMMAND} bytes fit")
    stdin = fields.take("stdin", str, "a text")
    return Execute(
        words=words,
        shell=argv is None,
        timeout=_timeout(fields, limits, timeout),
        env=env,
        cwd=fields.text("cwd", MAX_PATH, ""),
        stdin=None if stdin is None else _content(fields, "stdin", stdin),
        pty=_pty(fields),
    )


def _env(fields: Fields) -> dict[str, str]:
    env: dict[str, str] = fields.take("env", dict, "an object of texts") or {}
    for name, value in env.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise fields.error("env", f"has a bad name, {str(name)[:80]!r}")
        if not isinstance(value, str):
            raise fields.error(f"env.{name}", "must be a text")
        fields.check_text(f"env.{name}", value, MAX_WORD)
    return env


def _timeout(fields: Fields, limits: Limits, timeout: float | None) -> float:
    given = fields.take("timeout", (int, float), "a number of seconds")
    seconds = given if given is not None else timeout
    if seconds is None:
        return min(limits.timeout, limits.max_timeout)
    if not 0 < seconds <= limits.max_timeout:  # nan is neither
        most = render_duration(limits.max_timeout)
        raise fields.error("timeout", f"must be more than 0 and at most max_timeout, {most}")
    return float(seconds)


def _pty(fields: Fields) -> tuple[int, int] | None:
    value = fields.take("pty", dict, "an object with rows and cols")
    if value is None:
        return None
    inner = Fields("execute: pty", value)
    rows, columns = inner.number("rows", 1, 65535), inner.number("cols", 1, 65535)
    inner.end()
    return rows or 24, columns or 80


def _write_file(fields: Fields, body: Body | None) -> WriteFile | Change:
    path = fields.path("path")
    operation = fields.take("op", str, "a text")
    if operation is not None:
        if body is not None:
            raise fields.error("op", "and a body do not go together")
        return _change(fields, path, operation)
    text = fields.take("content", str, "a text")
    encoded = fields.take("content_base64", str, "base64")
    if sum(given is not None for given in (text, encoded, body)) != 1:
        raise fields.error("content", "or content_base64 or a body is needed, and only one of them")
    content: bytes | None = None
    if text is not None:
        content = _content(fields, "content", text)
    elif encoded is not None:
        content = _decoded(fields, encoded)
    return WriteFile(path, content, fields.number("mode", 0, 0o7777), fields.flag("append"))


def _change(fields: Fields, path: str, operation: str) -> Change:
    match operation:
        case "mkdir":
            return MakeFolder(path)
        case "remove":
            return Remove(path, fields.flag("recursive"))
        case "rename":
            return Rename(path, fields.path("to"))
        case _:
            raise fields.error("op", 'must be "mkdir", "remove" or "rename"')


def _content(fields: Fields, name: str, text: str) -> bytes:
    try:
        data = text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise fields.error(name, "is not valid Unicode (a lone surrogate)") from None
    return _bounded(fields, name, data)


def _decoded(fields: Fields, encoded: str) -> bytes:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise fields.error("content_base64", "is not base64") from None
    return _bounded(fields, "content_base64", data)


def _bounded(fields: Fields, name: str, data: bytes) -> bytes:
    if len(data) > MAX_CONTENT:
        raise TooLargeError(
            str(fields.error(name, f"has {len(data)} bytes; at most {MAX_CONTENT} fit in JSON")),
            next_step="send it as the body of PUT …/files instead",
        )
    return data


def _read_file(fields: Fields) -> ReadFile:
    path = fields.path("path")
    return ReadFile(
        path, fields.number("offset", 0, 1 << 62) or 0, fields.number("limit", 1, 1 << 62)
    )


def _edit_file(fields: Fields) -> EditFile:
    path = fields.path("path")
    old, new = fields.take("old", str, "a text"), fields.take("new", str, "a text")
    for name, text in (("old", old), ("new", new)):
        if text is None:
            raise fields.error(name, "is missing")
        _content(fields, name, text)
    if not old:
        raise fields.error("old", "is empty; use write_file to write a whole file")
    return EditFile(path, old, new, fields.flag("replace_all"))


def _ls(fields: Fields) -> Ls | RealPath:
    path = fields.path("path", ".")
    if fields.flag("realpath"):
        return RealPath(path)
    return Ls(path, fields.flag("stat"), fields.flag("follow"))


def _glob(fields: Fields) -> Glob:
    return Glob(fields.path("pattern"), fields.path("path", "."), fields.flag("hidden"))


def _grep(fields: Fields) -> Grep:
    pattern = fields.text("pattern", MAX_PATH)
    if not pattern:
        raise fields.error("pattern", "is empty")
    return Grep(
        pattern,
        fields.path("path", "."),
        fields.optional_text("glob", MAX_PATH),
        fields.flag("ignore_hidden", default=True),
    )


def _foreign(tool: str, args: dict[str, Any]) -> Foreign:
    if not _TOOL_NAME.fullmatch(tool):
        raise ArgumentsError(f"{tool[:80]!r} is not a tool's name")
    try:
        size = len(json.dumps(args, allow_nan=False))
    except (ValueError, TypeError, RecursionError) as error:
        raise ArgumentsError(f"{tool}: the arguments are not JSON: {error}") from None
    if size > MAX_FOREIGN:
        raise TooLargeError(f"{tool}: {size} bytes of arguments; at most {MAX_FOREIGN} fit")
    return Foreign(args)


def _size(*texts: str) -> int:
    return sum(len(text.encode(errors="surrogateescape")) + 1 for text in texts)


_FILE_TOOLS: dict[str, Callable[[Fields], ToolRequest]] = {
    "read_file": _read_file,
    "edit_file": _edit_file,
    "ls": _ls,
    "glob": _glob,
    "grep": _grep,
}
