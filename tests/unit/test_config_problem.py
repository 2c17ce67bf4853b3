"""Problems are shown as a person reads them: the place, the line, a caret, the nearest word."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepd.config.document import parse_document
from deepd.config.load import load_profile
from deepd.config.problem import Problem, as_error, did_you_mean, file_problem, render
from deepd.config.source import Source
from deepd.errors import ProfileError
from deepd.model.profile import Position
from tests.unit.profile_texts import settings_for


def test_an_unknown_key_is_shown_as_the_page_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("config/strict.toml")
    file.parent.mkdir()
    file.write_text('image = "python:3.12-slim"\n\n# held\nidle_timout = "15m"\n')
    file.chmod(0o644)
    with pytest.raises(ProfileError) as caught:
        load_profile(file, settings_for(tmp_path))
    (problem,) = caught.value.problems
    assert isinstance(problem, Problem)
    assert render(problem) == (
        "error: unknown key `idle_timout`\n"
        "  --> config/strict.toml:4:1\n"
        "   |\n"
        ' 4 | idle_timout = "15m"\n'
        "   | ^^^^^^^^^^^ did you mean `idle_timeout`?"
    )


def test_longer_line_numbers_widen_the_margin() -> None:
    problem = Problem(Position("p.toml", 120, 3), "wrong", "a = 1", 1)
    assert render(problem).split("\n") == [
        "error: wrong",
        "    --> p.toml:120:3",
        "     |",
        " 120 | a = 1",
        "     |   ^",
    ]


def test_a_problem_with_the_whole_file_shows_no_line() -> None:
    assert render(file_problem("p.toml", "is a folder")) == "error: is a folder\n  --> p.toml"
    assert render(file_problem("p.toml", "wrong", "do this")).endswith("\n   = do this")


def test_the_caret_stands_under_wide_characters_and_behind_tabs() -> None:
    line = '\té = "日本語" # x'
    problem = Problem(Position("p", 1, line.index('"') + 1), "wrong", line, 5)
    shown, caret = render(problem).split("\n")[-2:]
    assert shown == ' 1 |     é = "日本語" # x'
    assert caret == "   |" + " " * (len("     é = ")) + "^" * 8


def test_what_acts_on_a_terminal_is_shown_and_not_done() -> None:
    line = "a = 1 # \x1b]52;c;aGk=\x07 \u202e"
    text = render(Problem(Position("p\x1b[2J", 1, 1), "bad\x07", line, 1, "\x9b"))
    assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(text)
    assert "\\u{1b}]52" in text


def test_a_very_long_line_is_shown_around_its_problem() -> None:
    line = "a" * 60_000 + "!" + "b" * 4_000
    shown = render(Problem(Position("p", 1, 60_001), "wrong", line, 4_001)).split("\n")
    assert max(len(part) for part in shown) < 140
    assert "…" + "a" * 20 + "!" in shown[3]
    assert shown[4].index("^") == shown[3].index("!")


def test_colour_adds_nothing_but_colour() -> None:
    problem = Problem(Position("p", 1, 1), "wrong", "a = 1", 1, "hint")
    coloured = render(problem, colour=True)
    assert "\x1b[1;31m" in coloured
    for code in ("\x1b[1;31m", "\x1b[1m", "\x1b[34m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == render(problem)


def test_the_error_names_the_first_problem_and_counts_the_rest() -> None:
    first = Problem(Position("p", 1, 1), "wrong", "a = 1", 1, "mend it")
    assert str(as_error([first])) == "p:1:1: wrong (mend it)"
    assert str(as_error([first, first, first])).endswith("(and 2 more)")


def test_only_a_near_word_is_offered() -> None:
    assert did_you_mean("exeucte", ("execute", "ls")) == "did you mean `execute`?"
    assert did_you_mean("deploy", ("execute", "ls")) == ""


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('a = "x\n', "1:5", "unterminated string"),
        ("a = 1\nb = \n", "2:5", "invalid value"),
        ("a = 1\r\nb = ]\r\n", "2:5", "invalid value"),
        ("a = 1\n[a]\n", "2:3", "cannot overwrite a value"),
        ("a = 1\nb = 2\na = 3\n", "3:1", "given twice"),
        ('a = "\\q"', "1:8", "unescaped '\\' in a string"),
        ('a = """\nx\n', "1:5", "unterminated string"),
        ("a\x00 = 1", "1:2", "expected '=' after a key in a key/value pair"),
    ],
)
def test_a_syntax_error_has_its_line_and_column(text: str, place: str, message: str) -> None:
    source = Source(Path("p.toml"), text.replace("\r\n", "\n"))
    problem = parse_document(source)
    assert isinstance(problem, Problem)
    assert str(problem.position) == f"p.toml:{place}"
    assert message in problem.message
