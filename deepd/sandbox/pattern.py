"""Pattern: globs to regular expressions; pure.

`*` and `?` stay within one name, `**` as a whole part is any number of folders, also none, and
`[a-z]`, `[!x]` are sets. Hidden names are matched only by parts that begin with a dot themselves.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from deepd.errors import ArgumentsError

MAX_PATTERN = 4096
_WILD = frozenset("*?[")
_MEMBERS = re.compile("(.)-(.)|(.)", re.DOTALL)


class Glob(NamedTuple):
    """A glob taken apart: where to begin to look, and what paths below that must look like."""

    base: str
    """The leading parts without wildcards; empty when there are none."""
    rest: str
    """The parts from the first wildcard on; empty when there is none."""

    @property
    def one_level(self) -> bool:
        """Whether nothing deeper than the base's own entries can match."""
        return "/" not in self.rest and self.rest != "**"

    @property
    def names_hidden(self) -> bool:
        """Whether it asks for hidden names itself."""
        return any(part.startswith(".") for part in self.rest.split("/"))


def split_glob(pattern: str) -> Glob:
    """Take a glob apart; raise `ArgumentsError` for an empty or endless one."""
    if not pattern:
        raise ArgumentsError("the pattern is empty")
    if len(pattern) > MAX_PATTERN or "\0" in pattern:
        raise ArgumentsError(f"the pattern has a NUL or more than {MAX_PATTERN:,} characters")
    root = "/" if pattern.startswith("/") else ""
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    wild = next((n for n, part in enumerate(parts) if _WILD & set(part)), len(parts))
    return Glob(root + "/".join(parts[:wild]), "/".join(parts[wild:]))


def translate(rest: str, *, hidden: bool = False) -> str:
    """Return the expression, in RE2's syntax, that whole relative paths must match."""
    any_name = "[^/]+" if hidden else "[^./][^/]*"
    parts = rest.split("/")
    expression = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            # The last one needs a name: a folder's own path is not below it.
            expression += f"(?:{any_name}/)*{any_name}" if last else f"(?:{any_name}/)*"
        else:
            expression += _name(part, first=not hidden) + ("" if last else "/")
    return expression


def name_filter(rest: str) -> str:
    """Return an fnmatch pattern that the last name of all that matches has; empty where unknown.

    It may let more through: `?` is a character here and a byte there, so it becomes `*`.
    """
    last = rest.rpartition("/")[2]
    if last == "**" or not last.isascii() or set(last) & set("[\\"):
        return ""
    return last.replace("?", "*")


def _name(part: str, *, first: bool) -> str:
    """Return the expression for one name; `first`: its wildcards must not match a leading dot."""
    expression = ""
    position = 0
    while position < len(part):
        char = part[position]
        position += 1
        if char == "*":
            rest = part[position:].lstrip("*")
            if first:
                return expression + _leading_star(rest)
            expression += "[^/]*"
            position = len(part) - len(rest)
        elif char == "?":
            expression += "[^./]" if first else "[^/]"
        elif char == "[" and (end := _end_of_set(part, position)) > 0:
            expression += _set(part[position:end], "./" if first else "/")
            position = end + 1
        else:
            expression += _escaped(char)
        first = False
    return expression


def _leading_star(rest: str) -> str:
    """Return the expression for `*` and what follows it, at the beginning of a visible name."""
    some = "[^./][^/]*" + _name(rest, first=False)
    if not rest or rest[0] == ".":
        return some
    return f"(?:{some}|{_name(rest, first=True)})"


def _end_of_set(part: str, start: int) -> int:
    """Return where a set's `]` is; a first `]` belongs to the set, and -1 is no set at all."""
    begin = start + (part[start : start + 1] in ("!", "^"))
    return part.find("]", begin + 1)


def _set(inner: str, never: str) -> str:
    """Return the expression for a set, from which some characters are left out."""
    negated = inner[0] in "!^"
    pieces = ""
    for low, high, single in _MEMBERS.findall(inner[1:] if negated else inner):
        pieces += _range(single or low, single or high, "" if negated else never)
    if negated:
        return f"[^{''.join(map(_escaped, never))}{pieces}]"
    return f"[{pieces}]" if pieces else r"[^\x00-\x{10FFFF}]"


def _range(low: str, high: str, never: str) -> str:
    """Return a range without some characters; one that runs backwards is empty."""
    for char in never:
        if low <= char <= high:
            below = _range(low, chr(ord(char) - 1), never)
            return below + _range(chr(ord(char) + 1), high, never)
    return f"{_escaped(low)}-{_escaped(high)}" if low <= high else ""


def _escaped(char: str) -> str:
    return "\\" + char if char.isascii() and not char.isalnum() and char != "_" else char
