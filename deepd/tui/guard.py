"""Guard: a key that decides does nothing until what it decides on has been there for a moment."""

from __future__ import annotations

from collections.abc import Callable

PAUSE = 0.4
"""Seconds after a new item, a new selection or a new focus in which no key decides."""


class Guard:
    """Remembers when last something took the place that a key acts on."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()

    def reset(self) -> None:
        """Note that something else is in front of the person now."""
        self._since = self._clock()

    def is_open(self) -> bool:
        """Whether it has been there for long enough to be meant."""
        return self._clock() - self._since >= PAUSE
