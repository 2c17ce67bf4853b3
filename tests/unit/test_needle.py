"""Needle: what it finds in a pattern, and that nothing that matches is without it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepd.errors import ArgumentsError
from deepd.sandbox.lines import LineSearch
from deepd.sandbox.needle import needle


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("the needle", "the needle"),
        (r"^def main\(.*\):$", "def main("),
        (r"import\s+os", "import"),
        ("abc*d+e?f", "ab"),
        ("a+bcd", "bcd"),
        (r"\d\.\d\d", "."),
        ("caf\u00e9s", "caf"),
        ("one|two", ""),
        ("(?i)word", ""),
        ("x{0}y", ""),
        ("[abc]", ""),
        (r"\x41\x42", ""),
        (r"\Qa.b\E", ""),
        (r"\pN", ""),
        (".*", ""),
    ],
)
def test_it_is_the_longest_text_that_cannot_be_missing(pattern: str, found: str) -> None:
    assert needle(pattern) == found


_PARTS = st.sampled_from([*list("ab.*+?^$|()[]{}\\1xQEdbzpN-,éi:"), r"\d", r"\.", "(?i)", "{2}"])


@given(
    st.lists(_PARTS, min_size=1, max_size=8).map("".join), st.text("abAB.1xd\n\u00e9", max_size=12)
)
@example("ab?", "a")
@example("a\\", "a")
def test_whatever_matches_contains_it(pattern: str, text: str) -> None:
    try:
        search = LineSearch(pattern, 10)
    except ArgumentsError:
        return
    search.search("file", text.encode())
    assert not search.found or needle(pattern) in text
