"""What is shown decodes to exactly what runs; pure."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepd.tui.card import decisive_lines
from deepd.tui.cells import cut, pad, width, wrap
from deepd.tui.diff import CONTEXT, diff_lines, whole
from deepd.tui.file_change import Current
from deepd.tui.gist import command_text
from deepd.tui.line import Line
from deepd.tui.moment import left, short, size
from deepd.tui.shown import TAB, many_lines, one_line
from tests.tui.decode import from_line, from_lines, side
from tests.tui.hostile import HOSTILE

UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
TEXTS = st.one_of(
    st.text(max_size=80),
    st.text(alphabet=" \t\n·→⏎\\u{}0ab\x1b\u202e\ud800", max_size=60),
    st.sampled_from(sorted(HOSTILE.values())),
)


def approval(tool: str = "execute", **args: Any) -> dict[str, Any]:
    return {
        "id": "0" * 32,
        "tool": tool,
        "args": args,
        "session": "main",
        "profile": "strict",
        "client": "planner",
        "uid": 1000,
        "asked_at": 0.0,
        "rule": "strict.toml:1:1",
        "context": {"cwd": "/workspace", "env": {"A": "\x1b[2J"}, "secrets": ["TOKEN"]},
    }


@given(TEXTS)
def test_a_text_in_lines_decodes_to_itself_and_holds_nothing_unseen(text: str) -> None:
    lines = list(many_lines(text))
    assert from_lines(lines) == text
    assert not UNSAFE.search("".join(lines))
    for line in lines:
        assert not re.search(r"(?<=[^ ])  | $", line.replace(TAB, "→"))


@given(TEXTS)
def test_a_text_in_one_line_decodes_to_itself_and_is_one_line(text: str) -> None:
    line = one_line(text)
    assert from_line(line) == text
    assert not UNSAFE.search(line)


@given(TEXTS, st.integers(2, 40))
def test_wrapping_loses_nothing_and_fits(text: str, columns: int) -> None:
    for line in many_lines(text):
        pieces = wrap(line, columns)
        assert "".join(pieces) == line
        assert all(width(piece) <= columns for piece in pieces)


@given(TEXTS, st.integers(1, 30))
def test_a_cell_is_exactly_as_wide_as_its_column(text: str, columns: int) -> None:
    shown = one_line(text)
    assert width(pad(shown, columns)) == columns
    assert width(cut(shown, columns)) <= columns


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_command_is_on_its_card_whole_and_exact(name: str) -> None:
    command = HOSTILE[name]
    lines = [line.text for line in decisive_lines(approval(command=command))]
    start = lines.index("") + 1
    end = len(lines) - 1 - lines[::-1].index("")
    assert from_lines(lines[start:end]) == command
    assert not UNSAFE.search("".join(lines))


def test_every_argument_is_on_the_card() -> None:
    held = approval(command="make", env={"CI": "1\n2"}, stdin="y\n" * 40, cwd="/srv", odd=[1, None])
    text = "\n".join(line.text for line in decisive_lines(held))
    for part in ("make", 'env = {"CI": "1\\n2"}', "stdin:", 'cwd = "/srv"', "odd = [1, null]"):
        assert part in text
    assert "env A=\\u{1b}[2J   TOKEN (secret)" in text


def test_files_that_a_command_names_are_on_the_card_with_what_is_known_of_them() -> None:
    held = approval(command="sh run.sh \x1b.sh")
    held["context"] |= {
        "files": {"run.sh": "3f2a91c0" * 8, "\x1b.sh": "not bound: larger than 128 MiB"},
        "files_unknown": "its sandbox is not ready",
    }
    lines = [(line.text, line.tone) for line in decisive_lines(held)]
    for line in (
        ("names run.sh   sha256 3f2a91c03f2a", "quiet"),
        ("bound: a change of what it names puts it back here", "quiet"),
        ("names \\u{1b}.sh   not bound: larger than 128 MiB", "warn"),
        ("names files that are not known yet: its sandbox is not ready", "warn"),
    ):
        assert line in lines


def test_words_without_a_shell_are_quoted_so_that_they_cannot_be_confused() -> None:
    assert command_text({"argv": ["rm", "-rf", "a b", "$HOME"]}) == "rm -rf 'a b' '$HOME'"


@given(TEXTS, TEXTS)
def test_a_change_has_every_line_that_comes_and_goes(before: str, after: str) -> None:
    lines = diff_lines(before, after)
    assert bool(lines) == (before != after)
    removed = [from_lines([line.text]) for line in lines if line.gutter == "-"]
    assert all(text in before.split("\n") for text in removed)
    added = [from_lines([line.text]) for line in lines if line.gutter == "+"]
    assert all(text in after.split("\n") for text in added)


@given(st.lists(st.sampled_from(["a", "b", "c\t", "\x1b"]), max_size=CONTEXT), TEXTS)
def test_a_change_of_a_short_file_decodes_to_both_texts(kept: list[str], new: str) -> None:
    before = "".join(f"{line}\n" for line in kept)
    lines = diff_lines(before, before + new)
    if lines:
        assert side(lines, "+") == before + new
        assert side(lines, "-") == before


def test_new_content_is_shown_whole_with_a_missing_newline_said() -> None:
    assert whole("a\nb") == [
        Line("a", "add", "+"),
        Line("b", "add", "+"),
        Line("no newline at the end", "quiet", "\\"),
    ]


def test_an_edit_that_will_fail_says_so() -> None:
    held = approval("edit_file", path="a.py", old="x", new="y")
    for text, said in (("none", "it will fail"), ("x x", "there 2 times"), ("x", "+1 -1")):
        lines = decisive_lines(held, current=Current(text, at=1.0))
        assert said in "\n".join(line.text for line in lines)
    gone = decisive_lines(held, current=Current("", exists=False, at=1.0))
    assert "there is no such file" in "\n".join(line.text for line in gone)


def test_content_that_is_no_text_is_shown_as_it_was_sent() -> None:
    held = approval("write_file", path="a.bin", content_base64="/9j/4A==")
    text = "\n".join(line.text for line in decisive_lines(held))
    assert "/9j/4A==" in text


def test_times_and_sizes_are_short() -> None:
    assert [short(n) for n in (5, 61, 7300, 200_000)] == ["5s", "1m", "2h", "2d"]
    assert [left(n) for n in (-3, 48, 860, 7500)] == ["00:00", "00:48", "14:20", "2h05"]
    assert [size(n) for n in (5, 1536, 38 << 20, 1 << 30)] == ["5B", "1.5K", "38M", "1G"]
