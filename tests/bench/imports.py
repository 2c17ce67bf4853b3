"""What a program pays for importing deepd, beside a Python that does nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.bench.timing import interleave

PROGRAMS = (
    "pass",
    "import deepd",
    "from deepd import DockerSandbox",
    "from deepd import connect",
    "from deepd import create_deep_agent",
)


def measure(pairs: int) -> list[dict[str, Any]]:
    """Return one row a program, against the one that does nothing."""
    return interleave(
        {f"python -c {code!r}": _program(code) for code in PROGRAMS}, pairs, warm_up=1, pause=0
    )


def _program(code: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)
