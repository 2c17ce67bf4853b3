"""Activity: what each session is busy with, so that nobody loses a sandbox under their hands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from deepd.model.ids import SessionName

Kind = Literal["running", "held", "waiting"]


class Activity:
    """Counts what runs, is held or waits in each session; in memory, for calls are stored."""

    def __init__(self, on_quiet: Callable[[SessionName], None]) -> None:
        self._counts: Counter[tuple[SessionName, Kind]] = Counter()
        self._on_quiet = on_quiet

    def count(self, name: SessionName, kind: Kind) -> int:
        """Return how many there are of a kind."""
        return self._counts[name, kind]

    @contextmanager
    def during(self, name: SessionName, kind: Kind) -> Iterator[None]:
        """Count one more; call back at the end of the last."""
        self._counts[name, kind] += 1
        try:
            yield
        finally:
            self._counts[name, kind] -= 1
            if not self._counts[name, kind]:
                del self._counts[name, kind]
            if not self.is_busy(name):
                self._on_quiet(name)

    def is_busy(self, name: SessionName) -> bool:
        """Tell whether there is anything at all."""
        return any((name, kind) in self._counts for kind in ("running", "held", "waiting"))
