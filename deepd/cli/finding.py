"""Finding: one thing that `deepd doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and how to mend it."""

    check: str
    level: Literal["ok", "warn", "fail"]
    text: str
    mend: str = ""


def ok(check: str, text: str) -> Finding:
    """Return that it is well."""
    return Finding(check, "ok", text)


def warn(check: str, text: str, mend: str) -> Finding:
    """Return that deepd works, with less than it should have."""
    return Finding(check, "warn", text, mend)


def fail(check: str, text: str, mend: str) -> Finding:
    """Return that deepd cannot work so."""
    return Finding(check, "fail", text, mend)
