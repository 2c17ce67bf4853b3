"""Subject: one driven process, spoken to in lines of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


class UnableError(Exception):
    """The subject cannot do that here, and why."""


class Subject:
    """A peer's, or deepd's, process: does one work at a time and says how long that took."""

    def __init__(self, name: str, module: str, python: str, image: str, log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [python, "-m", f"tests.bench.subjects.{module}", image],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            self.version = str(self._hear()["ready"])
        except UnableError:
            self.close()
            raise

    def do(self, work: str) -> tuple[float, float]:
        """Do a work once; return its figure, and the seconds that all of it took."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(work) + "\n")
            self._process.stdin.flush()
        answer = self._hear()
        return answer["value"], answer["whole"]

    def close(self) -> None:
        """Let it remove its sandboxes and end."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(300)
        except subprocess.TimeoutExpired:
            print(f"{self.name} does not end; see {self._log}", file=sys.stderr)
            self._process.kill()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise UnableError(f"its process ended; see {self._log}")
        answer: dict[str, Any] = json.loads(line)
        if "unable" in answer:
            raise UnableError(answer["unable"])
        return answer
