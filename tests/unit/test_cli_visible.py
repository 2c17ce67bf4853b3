"""What is shown of untrusted text hides nothing, obeys nothing, and decodes to what was there."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepd.model.visible import from_visible, visible

ANY_TEXT = st.text(st.characters(exclude_categories=()))
NASTY = st.text(
    st.sampled_from(
        "\\u{}5c1b a\n\t\r⏎→\x00\x1b\x7f\x85\x9b\u200b\u202e\u2066\ufeff\ud800\udcff"
        "\u0301\u20dd\u3164\u00a0\U000e0041\ue000é"
    )
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("git push origin main", "git push origin main"),
        ("a\nb\tc", "a\nb\tc"),
        ("\x1b[2J", r"\u{1b}[2J"),
        ("\x9b2J", r"\u{9b}2J"),
        ("ls\r\nrm", "ls\\u{d}\nrm"),
        ("a\u202eb", r"a\u{202e}b"),
        ("zero\u200bwidth", r"zero\u{200b}width"),
        ("soft\u00adhyphen", r"soft\u{ad}hyphen"),
        ("rm\u00a0-rf", r"rm\u{a0}-rf"),
        ("tag\U000e0041", r"tag\u{e0041}"),
        ("vs\ufe0f", r"vs\u{fe0f}"),
        ("\ud83d", r"\u{d83d}"),
        (r"\u{1b}", r"\u{5c}u{1b}"),
        (r"echo \n \x1b", r"echo \n \x1b"),
        ("café naïve 日本語 🎉", "café naïve 日本語 🎉"),
        ("e\u0301", "e\u0301"),
        ("-\u0338", r"-\u{338}"),
        ("a\u0301\u0301\u0301", r"a" + "\u0301\u0301" + r"\u{301}"),
    ],
)
def test_hidden_characters_are_spelled_out_and_the_rest_is_left_alone(
    text: str, shown: str
) -> None:
    assert visible(text) == shown


def test_in_one_line_newlines_and_tabs_get_a_sign_and_the_signs_themselves_are_spelled_out() -> (
    None
):
    assert visible("a\nb\tc⏎→", one_line=True) == r"a⏎b→c\u{23ce}\u{2192}"


@given(text=st.one_of(ANY_TEXT, NASTY), one_line=st.booleans())
def test_what_is_shown_decodes_to_what_was_there(text: str, *, one_line: bool) -> None:
    assert from_visible(visible(text, one_line=one_line), one_line=one_line) == text


@given(st.one_of(ANY_TEXT, NASTY))
def test_nothing_that_a_terminal_obeys_or_an_eye_misses_is_left(text: str) -> None:
    for char in visible(text, one_line=True):
        assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert unicodedata.bidirectional(char) not in {
            *("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"),
        }


@given(st.one_of(ANY_TEXT, NASTY), st.one_of(ANY_TEXT, NASTY))
def test_two_different_texts_never_look_the_same(one: str, other: str) -> None:
    assert (visible(one, one_line=True) == visible(other, one_line=True)) == (one == other)
