"""Backoff: when something that failed may be tried again, per lane."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from deepd.errors import DeepdError
from deepd.reconcile.facts import Failure, is_terminal

FIRST = 0.2
LONGEST = 30.0
OLD = 600.0
"""Seconds after which a failure that may be tried again counts no more."""


def delay(attempts: int, jitter: float) -> float:
    """Return the seconds to wait after so many failures in a row; `jitter` is from 0 to 1."""
    whole = min(LONGEST, FIRST * 2.0 ** min(attempts - 1, 16))
    return whole * (0.75 + jitter / 4)


class Backoff:
    """The failures that nothing has mended yet."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._failures: dict[str, Failure] = {}

    @property
    def failures(self) -> Mapping[str, Failure]:
        """Return what failed last, by lane."""
        return dict(self._failures)

    def failed(
        self, lane: str, error: DeepdError, *, now: float, revision: str = "", container: str = ""
    ) -> Failure:
        """Note one more failure in a row."""
        self._forget_old(now)
        before = self._failures.get(lane)
        attempts = before.attempts + 1 if before else 1
        until = None if is_terminal(error) else now + delay(attempts, self._jitter())
        failure = Failure(error, attempts, until, revision, container)
        self._failures[lane] = failure
        return failure

    def mended(self, lane: str) -> None:
        """Forget the failures of a lane: it works, or somebody asks to try again."""
        self._failures.pop(lane, None)

    def _forget_old(self, now: float) -> None:
        """Forget what nobody tried again, such as the lanes of containers that are gone."""
        for lane, failure in list(self._failures.items()):
            if failure.until is not None and failure.until < now - OLD:
                del self._failures[lane]
