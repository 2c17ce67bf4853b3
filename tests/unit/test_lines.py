"""Line search: numbers, ends of lines, bytes that are no text, and linear time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepd.errors import ArgumentsError
from deepd.sandbox.lines import MAX_LINE, LineSearch


def grep(pattern: str, data: bytes, limit: int = 100) -> list[tuple[int, str]]:
    search = LineSearch(pattern, limit)
    search.search("f", data)
    return [(match.line_number, match.line) for match in search.found]


@pytest.mark.parametrize(
    ("pattern", "data", "found"),
    [
        ("two", b"one\ntwo\nthree two\n", [(2, "two"), (3, "three two")]),
        ("e", b"eee\n", [(1, "eee")]),
        ("^two$", b"one\r\ntwo\r\n", [(2, "two")]),
        ("^$", b"a\n\nb\n", [(2, "")]),
        ("x*", b"a\nb", [(1, "a"), (2, "b")]),
        ("x*", b"", []),
        ("last", b"first\nlast", [(2, "last")]),
        (r"a\sb", b"a\nb\na b\n", [(3, "a b")]),
        ("[^x]b", b"a\nb\nab", [(3, "ab")]),
        ("(?s)a.b", b"a\nb", []),
        ("b|c", b"a\nb\nc\n", [(2, "b"), (3, "c")]),
        ("^x.*$", b"xy\xffz\n", [(1, "xy\\xffz")]),
        ("é", "café\n".encode(), [(1, "café")]),
        ("say \"hi'; $(rm)", b"say \"hi'; $(rm)\n", []),
        (r"\$\(rm\)", b"say $(rm)\n", [(1, "say $(rm)")]),
        ("(?i)HELLO", b"hello\n", [(1, "hello")]),
    ],
)
def test_the_lines_that_match_are_found_once_with_their_numbers(
    pattern: str, data: bytes, found: list[tuple[int, str]]
) -> None:
    assert grep(pattern, data) == found


def test_a_long_line_is_cut_and_says_so() -> None:
    [(_, line)] = grep("needle", b"needle" + "é".encode() * 50_000)
    assert line == "needle" + "é" * (MAX_LINE - 6) + "… [100,006 bytes]"


def test_no_more_than_the_limit_is_found() -> None:
    assert len(grep("a", b"a\n" * 1000, limit=7)) == 7
    assert grep("a", b"a\n", limit=0) == []


def test_text_beyond_all_bounds_ends_the_search() -> None:
    search = LineSearch("a", 1_000_000)
    data = (b"a" * 1999 + b"\n") * 1000
    for _ in range(20):
        search.search("f", data)
    assert search.full
    assert sum(len(match.line) for match in search.found) < (16 << 20) + MAX_LINE + 100


def test_time_is_linear_for_any_pattern() -> None:
    start = time.monotonic()
    assert grep("(a+)+$", (b"a" * 5000 + b"!\n") * 20) == []
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("pattern", ["", "(", "a{5000}", "(?=x)", r"(a)\1", "x" * 5000, "\ud800"])
def test_a_bad_pattern_says_what_is_wrong(pattern: str) -> None:
    with pytest.raises(ArgumentsError):
        grep(pattern, b"a")


@given(st.text("ab\n", max_size=40), st.sampled_from(["a", "ab", "^a", "b$", "a*b", "^$", "[^a]"]))
@settings(max_examples=300)
def test_it_agrees_with_matching_line_by_line(text: str, pattern: str) -> None:
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    expected = [(n, line) for n, line in enumerate(lines, 1) if re.search(pattern, line)]
    assert grep(pattern, text.encode()) == expected
