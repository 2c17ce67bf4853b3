"""The examples do what they say, as programs of their own, with every warning an error."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.agent.scripted import TEN_NUMBERS

pytestmark = pytest.mark.docker
EXAMPLES = Path(__file__).parent / "examples"

SAID = {
    "fibonacci": ["[approval] execute: python3 /workspace/fibonacci.py", TEN_NUMBERS],
    "volumes": ['{"key": "value"}'],
    "sessions": ["visits: 1\nvisits: 1\nvisits: 2"],
    "approved": [
        "python3 -c 'print(6 * 7)'",
        "publish",
        "[published] the answer is 42",
        "I found it and published it.",
    ],
}


@pytest.mark.parametrize("name", SAID)
def test_an_example_does_what_it_says(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="deepd-example-") as folder:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", f"tests.agent.examples.{name}"],
            cwd=EXAMPLES.parent.parent.parent,
            env={**os.environ, "DEEPD_RUNTIME_DIR": folder, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Exception ignored" not in done.stderr
        for text in SAID[name]:
            assert text in done.stdout


def test_every_example_is_tried() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SAID) | {"__init__"}
