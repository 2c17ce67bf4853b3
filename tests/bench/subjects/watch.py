"""Watch: times the part of a work that counts, or takes another figure of it."""

from __future__ import annotations

import time
from types import TracebackType


class Watch:
    """`with watch:` around what counts; what is prepared before and removed after does not."""

    def __init__(self) -> None:
        self.value = 0.0
        """Milliseconds, or what the work measures instead."""
        self._begin = 0.0

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.value = (time.perf_counter() - self._begin) * 1000
