"""Needle: a plain text that whatever a regular expression matches must contain; pure."""

from __future__ import annotations

_UNKNOWN = frozenset("|()[]{}\r\n\0")
"""Alternatives, groups, sets and counts: what is around them need not be there."""
_APART = frozenset(".^$")
_CLASSES = frozenset("bBdDwWsSAz")
"""After a backslash: one character or place of a kind, and nothing of what follows."""


def needle(pattern: str) -> str:
    """Return the longest such ASCII text; empty where none is known."""
    runs, run = [""], ""
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "\\":
            char, position = pattern[position : position + 1], position + 1
            if char in _CLASSES or not char.isascii():
                runs, run = [*runs, run], ""
            elif not char or char.isalnum():
                return ""
            else:
                run += char
        elif char in _UNKNOWN:
            return ""
        elif char in "*?+":
            # What is repeated may be missing, but for `+`.
            runs, run = [*runs, run if char == "+" else run[:-1]], ""
        elif char in _APART or not char.isascii():
            runs, run = [*runs, run], ""
        else:
            run += char
    return max([*runs, run], key=len)
