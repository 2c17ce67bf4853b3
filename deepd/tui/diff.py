"""What a file tool would change: lines of a unified diff, worked out from exact texts. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from deepd.tui.line import Line
from deepd.tui.shown import many_lines

CONTEXT = 3
_TOO_MUCH = 25_000_000
"""Pairs of lines beyond which a minimal diff takes too long; then all is removed and added."""
_NO_NEWLINE = "no newline at the end"


def diff_lines(old: str, new: str) -> list[Line]:
    """Return the change from one text to the other; empty when there is none."""
    before, after = _split(old), _split(new)
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    if head == len(before) == len(after):
        return []
    changed = before[head : len(before) - tail], after[head : len(after) - tail]
    if len(changed[0]) * len(changed[1]) > _TOO_MUCH:
        return [*added(changed[0], "-"), *added(changed[1], "+")]
    return list(_unified(before, after))


def added(lines: Sequence[str], sign: str = "+") -> Iterator[Line]:
    """Yield lines that come or go."""
    tone = "add" if sign == "+" else "remove"
    for line in lines:
        for text in many_lines(line.removesuffix("\n")):
            yield Line(text, tone, sign)
        if not line.endswith("\n"):
            yield Line(_NO_NEWLINE, "quiet", "\\")


def whole(text: str) -> list[Line]:
    """Return a text as lines that come."""
    return list(added(_split(text)))


def counts(lines: Sequence[Line]) -> str:
    """Return how much comes and goes: `+3 -1`."""
    plus = sum(line.gutter == "+" for line in lines)
    minus = sum(line.gutter == "-" for line in lines)
    return f"+{plus} -{minus}"


def _unified(before: list[str], after: list[str]) -> Iterator[Line]:
    for group in difflib.SequenceMatcher(None, before, after).get_grouped_opcodes(CONTEXT):
        first, last = group[0], group[-1]
        yield Line(
            f"@@ -{first[1] + 1},{last[2] - first[1]} +{first[3] + 1},{last[4] - first[3]} @@",
            "accent",
        )
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                for line in before[i1:i2]:
                    for text in many_lines(line.removesuffix("\n")):
                        yield Line(text, "", " ")
                    if not line.endswith("\n"):
                        yield Line(_NO_NEWLINE, "quiet", "\\")
                continue
            yield from added(before[i1:i2], "-")
            yield from added(after[j1:j2], "+")


def _split(text: str) -> list[str]:
    """Return the lines with their newlines; only a newline ends one, as in a file."""
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    number = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        number += 1
    return number
