"""The README's tables: every threat, fault and kind of input has tests, and each is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = Path(__file__).with_name("README.md")
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
INPUTS = {"profiles", "ids", "mounts", "frames", "requests", "archives"}


def rows(title: str) -> list[list[str]]:
    """Return the cells of a section's table, without its head."""
    section = README.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.mark.parametrize("title", ["Faults", "Threats", "Bad input"])
def test_each_row_names_tests_that_exist(title: str) -> None:
    for cells in rows(title):
        named = _NAMED.findall(cells[-1])
        assert named, f"{cells[:-1]} has no test"
        assert len(named) == cells[-1].count("::"), f"{cells[:-1]} has something that is no test"
        for file, test in named:
            text = (ROOT / file).read_text()
            assert re.search(rf"^(async )?def {test}\(", text, re.M), f"{file} has no {test}"


def test_every_threat_is_there_once() -> None:
    assert [cells[0] for cells in rows("Threats")] == [str(number) for number in range(1, 19)]


def test_every_kind_of_input_is_there() -> None:
    assert {cells[0].split(",")[0] for cells in rows("Bad input")} == INPUTS
