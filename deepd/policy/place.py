"""Rules over the paths of file tools: globs on where a path really leads in the sandbox."""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from typing import Any

from deepd.policy.pattern import PatternError, compile_expression, encodable

MAX_GLOB = 1024
_SET = re.compile(r"\[(!?+)(\][^\]/\\]*|[^\]/\\]+)\]")


@lru_cache(maxsize=2048)
def parse_glob(text: str) -> Any:
    """Return the compiled glob: `**` any folders, `*` and `?` within a name; or `PatternError`."""
    if len(text) > MAX_GLOB:
        raise PatternError(f"is longer than {MAX_GLOB} characters")
    if not text or text != text.strip():
        raise PatternError("is empty, or has blanks around it")
    parts = text.strip("/").split("/")
    if ".." in parts or "." in parts or "" in parts:
        raise PatternError("must be written without `..`, `.` and extra slashes")
    if any("**" in part and part != "**" for part in parts):
        raise PatternError("has `**` inside of a name", "`**` stands alone between slashes")
    return compile_expression(_expression(parts))


def covers(glob: str, path: str, work_dir: str) -> bool:
    """Return whether a glob means an absolute path; a relative glob is under the work folder.

    One that begins with `**` means any folder at all.
    """
    compiled, path = parse_glob(glob), encodable(path)
    if glob.startswith("/"):
        return compiled.fullmatch(path.strip("/")) is not None
    inside = relative(path, work_dir)
    if inside is not None and compiled.fullmatch(inside):
        return True
    return glob.startswith("**/") and compiled.fullmatch(path.strip("/")) is not None


def may_be_below(glob: str, folder: str, work_dir: str) -> bool:
    """Return whether a glob may mean something at or under a folder."""
    fixed: list[str] = []
    for part in glob.strip("/").split("/"):
        if re.search(r"[*?\[]", part):
            break
        fixed.append(part)
    root = "/" if glob.startswith(("/", "**/")) else work_dir
    prefix = posixpath.normpath(posixpath.join(root, *fixed))
    return relative(prefix, folder) is not None or relative(folder, prefix) is not None


def lexical(path: str, work_dir: str) -> str:
    """Return a path as it is written, made absolute: where it leads if nothing is a link."""
    return "/" + posixpath.normpath(posixpath.join("/", work_dir, path)).lstrip("/")


def relative(path: str, folder: str) -> str | None:
    """Return the part of a path below a folder; `None` when it is not there."""
    if path == folder:
        return ""
    return (
        path.removeprefix(f"{folder.rstrip('/')}/")
        if path.startswith(f"{folder.rstrip('/')}/")
        else None
    )


def _expression(parts: list[str]) -> str:
    """Return the regular expression of a glob's parts."""
    text = ""
    for number, part in enumerate(parts, 1):
        is_last = number == len(parts)
        if part == "**":
            text += ".*" if is_last else "(?:[^/]*/)*"
        else:
            text += _name(part) + ("" if is_last else "/")
    if parts[-1] == "**" and len(parts) > 1:
        # `a/**` is the folder `a` too: who may not touch what is in it may not replace it.
        text = text.removesuffix("/.*") + "(?:/.*)?"
    return text


def _name(part: str) -> str:
    text, at = "", 0
    while at < len(part):
        found = _SET.match(part, at)
        if found:
            inner = re.sub(r"([\\\[\]&~|^])", r"\\\1", found[2])
            text += f"[{'^/' if found[1] else ''}{inner}]"
            at = found.end()
            continue
        text += {"*": "[^/]*", "?": "[^/]"}.get(part[at], re.escape(part[at]))
        at += 1
    return text
