"""Guard: a key that decides does nothing until what it decides on has been there for a moment."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

PAUSE = 0.4
"""Seconds after a new item, a new selection or a new focus in which no key decides."""


class Paced(Protocol):
    """Whoever has the clock that a person's moments are measured by: the app."""

    pace: Callable[[], float]


class Guard:
    """Remembers when last something took the place that a key acts on; closed until then."""

    def __init__(self, whose: Callable[[], Paced]) -> None:
        self._whose = whose
        self._since = math.inf

    def reset(self) -> None:
        """Note that something else is in front of the person now."""
        self._since = self._whose().pace()

    def is_open(self) -> bool:
        """Whether it has been there for long enough to be meant."""
        return self._whose().pace() - self._since >= PAUSE
