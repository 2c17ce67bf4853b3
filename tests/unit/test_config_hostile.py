"""No text makes reading a profile crash, hang or do anything but answer with its problems."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from deepd.config.load import load_profile
from deepd.config.problem import Problem, render
from deepd.config.shape import ProfileFile
from deepd.config.source import MAX_BYTES
from deepd.errors import ProfileError
from deepd.model.profile import CONSOLE_TOOLS
from tests.unit.profile_texts import IMAGE, load, problems, settings_for

SECONDS = 5.0
"""Of a processor: each of these takes a few hundredths; the worst without limits took minutes."""


def read(text: str | bytes) -> None:
    """Read a text as a profile; whatever is wrong with it has a place and can be shown."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            load(Path(folder), text)
        except ProfileError as error:
            found = error.problems
        else:
            return
    assert found
    for problem in found:
        assert isinstance(problem, Problem)
        assert problem.position.line >= 1
        assert problem.position.column >= 1
        shown = render(problem)
        assert "\x1b" not in shown
        assert len(shown) < 20_000


FULL = MAX_BYTES - 100


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * FULL,
        "a = " + "[" * 1000 + "]" * 1000,
        "a = " + "{a = " * (FULL // 6),
        "a." * 5000 + "a = 1",
        "a." * (FULL // 2) + "a = 1",
        "[" + "a." * (FULL // 2) + "a]",
        "[[" + "a." * (FULL // 2) + "a]]",
        '"a".' * (FULL // 4) + "a = 1",
        "[[a]]\n" * (FULL // 6),
        "".join(f"k{number} = 1\n" for number in range(6000)),
        "".join(f"k{number} = 1\n" for number in range(1900)),
        "[interrupt_on]\n" + "".join(f"k{number} = 1\n" for number in range(1900)),
        "volumes = [" + "'x'," * 1900 + "]",
        "volumes = [" + "'./a:/a'," * 100 + "]",
        "sessions = [" + "'x'," * 1900 + "]",
        "interrupt_on = [" + "'x*'," * 1900 + "]",
        "a = " + "9" * FULL,
        "a = 0x" + "f" * FULL,
        "a = 1e" + "9" * FULL,
        'a = "' + "x" * FULL,
        'a = """' + '"" ' * (FULL // 3),
        "a = '''" + "''\n" * (FULL // 3),
        'a = "' + "\\u0000" * (FULL // 6) + '"',
        "#" * FULL,
        "\n" * FULL,
        " " * FULL + "=",
        "warm = nan",
        "warm = 9223372036854775808",
        "warm = 0b" + "1" * 60,
        "limits.cpus = 1e999",
        "a = 9999-99-99",
        "a = 1979-05-27 99:99:99",
        "idle_timeout = '" + "9" * 5000 + "d'",
        "idle_timeout = '" + "9" * 31 + "d'",
        "idle_timeout = '" + "9" * 31 + "s'",
        "idle_timeout = '٣s'",
        "limits.memory = '" + "9" * 31 + "t'",
        "limits.memory = '1e9'",
        "image = '" + "a-" * 8000 + "!'",
        "image = '" + "a/" * 8000 + "'",
        "volumes = ['" + "../" * 5000 + ":/a']",
        "volumes = ['" + "a" * 300 + ":/a']",
        "volumes = ['a\\u0000:/a']",
        "volumes = ['~nobody-of-this-name/x:/a']",
        'volumes = ["\\u0000:/a"]',
        'volumes = [{source = "x\\u001b[2J", target = "/a"}]',
        "interrupt_on = ['" + "*" * 100 + "a']",
        "interrupt_on.'[' = true",
        'workspace_root = "\\u0000"',
        'workspace_root = "~nobody-of-this-name"',
        'name = "' + "a" * 64 + '"',
    ],
    ids=lambda text: f"{text[:20]!r}, {len(text)} characters",
)
def test_hostile_texts_are_answered_in_time(text: str) -> None:
    for more in ("", IMAGE):
        begin = time.process_time()
        read(more + text)
        assert time.process_time() - begin < SECONDS


def test_no_more_problems_are_told_than_anybody_reads(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "".join(f"k{number} = 1\n" for number in range(500)))) == 100


def test_a_file_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "strict.toml"
    file.touch(mode=0o644)
    with file.open("r+b") as stream:
        stream.truncate(1 << 30)
    begin = time.process_time()
    with pytest.raises(ProfileError, match="larger than 64 KiB"):
        load_profile(file, settings_for(tmp_path))
    assert time.process_time() - begin < SECONDS


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_any_bytes_are_answered(data: bytes) -> None:
    read(data)


def test_a_nul_in_any_place_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    for key in ("image", "work_dir", "user", "shell", "engine", "name", "workspace_root"):
        assert problems(tmp_path, f'{key} = "a\\u0000b"')


TABLES = ["build", "limits", "security", "approvals", "interrupt_on", "env"]
WORDS = [
    *ProfileFile.model_fields,
    *CONSOLE_TOOLS,
    "default",
    "timeout",
    "memory",
    "cpus",
    "network",
    "cap_add",
    "source",
    "target",
    "type",
    "base_image",
    "packages",
    "notify",
    "test",
    "allow",
]
KEYS = st.sampled_from(WORDS) | st.text(max_size=5)
LEAVES = (
    st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["ask", "deny", "1h", "1g", "./src:/a", "python:3.12", "none", "/a", "*"])
    | st.datetimes()
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(KEYS, TREES, max_size=6))
@settings(max_examples=500)
def test_any_values_under_any_keys_are_answered(tree: dict[str, Any]) -> None:
    read(tomli_w.dumps(tree))


@given(st.sampled_from(TABLES), st.dictionaries(KEYS, TREES, max_size=4))
@settings(max_examples=300)
def test_any_values_in_the_known_tables_are_answered(table: str, tree: dict[str, Any]) -> None:
    read(tomli_w.dumps({"image": "a", table: tree}))
