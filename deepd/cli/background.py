"""A daemon in a session of its own, and what it said if it ended at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from deepd.config.paths import private_dir, state_dir

_KEPT = 10 << 20
"""A log larger than this is set aside at the next start."""
_LAST_LINES = 20


class EndedError(Exception):
    """The daemon ended before it served; it has said why itself."""

    def __init__(self, exit_code: int, said: str) -> None:
        super().__init__(said)
        self.exit_code = exit_code


class Background:
    """One process of `deepd run` that lives on when we end."""

    def __init__(self, words: Sequence[str]) -> None:
        self.log = private_dir(state_dir()) / "daemon.log"
        if self.log.exists() and self.log.stat().st_size > _KEPT:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._begin = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deepd", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def raise_if_ended(self) -> None:
        """Raise what it said, with its exit code, when it is not there any more."""
        code = self._process.poll()
        if code is not None:
            raise EndedError(code if code > 0 else 1, self._said())

    def _said(self) -> str:
        """Return its error, or its last lines when it ended in another way."""
        with self.log.open("rb") as log:
            log.seek(self._begin)
            lines = log.read(_KEPT).decode("utf-8", "replace").rstrip("\n").split("\n")
        first = next((i for i, line in enumerate(lines) if line.startswith("error")), None)
        if first is not None:
            return "\n".join(lines[first:])
        last = "\n".join(lines[-_LAST_LINES:]).strip()
        return f"error: the daemon ended at once\n{last}\nnext: see {self.log}"
