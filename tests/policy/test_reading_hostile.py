"""Readers and matchers on any input: no exception but the policy's own, and bounded time."""

from __future__ import annotations

import string
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepd.model.profile import Answer
from deepd.policy.decide import decide
from deepd.policy.explain import explain
from deepd.policy.named import MAX_NAMED, named
from deepd.policy.pattern import PatternError, WordPattern, parse_pattern, pattern_of
from deepd.policy.place import covers, parse_glob
from deepd.policy.proven import read_simple
from deepd.policy.reading import kept_long, kept_short, read_command, read_words
from deepd.policy.shell import UnprovenError, Word, to_bytes
from tests.policy.oracle.corpus import GOOD, TOKENS
from tests.policy.texts import over_commands

MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SOUP = st.lists(st.sampled_from((*TOKENS, *GOOD)), max_size=30).map("".join)
ANY = st.text(st.characters(), max_size=200)
COMMANDS = st.one_of(SOUP, ANY, st.tuples(SOUP, ANY, SOUP).map("".join))
ORDINARY = string.ascii_letters + string.digits + "_@%+=:,./-"
WORDS = st.lists(st.text(st.characters(), max_size=20), min_size=1, max_size=8)
PROFILE = over_commands(
    allow=["ls *", "cat ?", "re:git [a-z ]*"], ask=["pip *"], deny=["rm *", r"re:curl .*\|"]
)
ANSWERS: set[Answer] = {"allow", "ask", "deny"}


def made(parse: Callable[[str], Any], text: str) -> Any:
    """Return what a text is parsed to; nothing where it is refused with a reason."""
    try:
        return parse(text)
    except PatternError as error:
        reason = str(error)
    assert reason
    return None


@MANY
@given(COMMANDS)
def test_every_command_has_an_answer_and_an_explanation(command: str) -> None:
    args = {"command": command}
    verdict = decide(PROFILE, "execute", args)
    found = explain(PROFILE, "execute", args)
    assert verdict.answer in ANSWERS
    assert (found.answer, found.rule) == (verdict.answer, verdict.rule)
    if verdict.part is not None:
        start, end = verdict.part
        assert 0 <= start <= end <= len(to_bytes(command))
    assert len(named(args, "/workspace").paths) <= MAX_NAMED


@MANY
@given(COMMANDS)
def test_the_strict_reader_takes_a_command_or_says_where_it_is_not_plain(command: str) -> None:
    doubt = None
    try:
        simple = read_simple(command)
        assert all(words for words, _ in simple.commands)
    except UnprovenError as error:
        doubt = error.doubt
    if doubt is not None:
        assert doubt.reason
        assert 0 <= doubt.span.start <= doubt.span.end <= len(to_bytes(command))


@MANY
@given(COMMANDS)
def test_what_is_proven_is_among_what_was_found(command: str) -> None:
    reading = read_command(command)
    found = {each.words for each in reading.commands}
    assert {each.words for each in reading.proven} <= found
    assert not (reading.proven and reading.doubt)
    assert not (reading.proven and reading.hidden)


@MANY
@given(st.lists(st.text(ORDINARY, min_size=1, max_size=8), max_size=6))
def test_ordinary_words_are_read_as_they_stand_in_a_row_or_quoted_one_by_one(
    words: list[str],
) -> None:
    expected = [Word(text) for text in ("ls", *words)]
    for command in (["ls", *words], ["'ls'", *(f"'{word}'" for word in words)]):
        reading = read_command(" ".join(command))
        assert reading.doubt is None
        assert [list(each.words) for each in reading.proven] == [expected]


@MANY
@given(
    st.lists(st.lists(st.text(ORDINARY, min_size=1, max_size=8), max_size=5), min_size=1),
    st.sampled_from([" && ", "||", " | ", ";", "\n", " 2>&1 | ", "  >&2 ;"]),
)
def test_plain_commands_are_read_at_once_as_they_are_word_by_word(
    commands: list[list[str]], operator: str
) -> None:
    at_once = operator.join(" ".join(["ls", *words]) for words in commands)
    word_by_word = operator.join(
        " ".join(f"'{word}'" for word in ("ls", *words)) for words in commands
    )
    expected = [[(text, False) for text in ("ls", *words)] for words in commands]
    for command in (at_once, word_by_word):
        assert [list(words) for words, _ in read_simple(command).commands] == expected


@MANY
@given(st.text(ORDINARY, min_size=1, max_size=8))
def test_a_name_of_ordinary_characters_is_one_word_or_is_not_plain(name: str) -> None:
    reading = read_command(f"{name} x")
    quoted = read_command(f"'{name}' x")
    assert [each.words for each in reading.proven] in ([], [each.words for each in quoted.proven])


@MANY
@given(WORDS)
def test_words_without_a_shell_have_an_answer_too(words: list[str]) -> None:
    assert read_words(tuple(words)).commands
    assert decide(PROFILE, "execute", {"argv": words}).answer in ANSWERS


@MANY
@given(st.one_of(ANY, SOUP))
def test_a_pattern_is_taken_or_refused_with_a_reason(text: str) -> None:
    pattern = made(parse_pattern, text)
    if pattern is None:
        return
    if isinstance(pattern, WordPattern):
        assert pattern.fit([Word("ls")]) in {"no", "maybe", "yes"}
    else:
        assert pattern.is_all("x") in {True, False}


@MANY
@given(WORDS)
def test_a_pattern_made_of_words_means_those_words_and_no_others(words: list[str]) -> None:
    closed = [Word(word) for word in words]
    pattern = parse_pattern(pattern_of(closed))
    assert isinstance(pattern, WordPattern)
    assert pattern.fit(closed) == "yes"
    assert pattern.fit([*closed, Word("more")]) == "no"
    assert pattern.fit(closed[:-1]) == "no"


@MANY
@given(st.text(st.characters(), max_size=60), st.text(st.characters(), max_size=60))
def test_a_glob_is_taken_or_refused_and_answers_for_every_path(glob: str, path: str) -> None:
    if made(parse_glob, glob) is not None:
        assert covers(glob, f"/workspace/{path}", "/workspace") in {True, False}


def of_command(command: str) -> None:
    kept_short.cache_clear()
    kept_long.cache_clear()
    decide(PROFILE, "execute", {"command": command})


def test_what_is_too_long_to_be_read_is_not_kept_either() -> None:
    kept_short.cache_clear()
    kept_long.cache_clear()
    for text in ("ls", "ls " + "a" * 1000, "ls " + "a" * (64 << 10)):
        read_command(text)
    assert (kept_short.cache_info().currsize, kept_long.cache_info().currsize) == (1, 1)


def of_pattern(text: str) -> None:
    decide(
        over_commands(deny=["re:(a|aa)*(b|a*a*a*)*$", "re:(x+x+)+y"]), "execute", {"argv": [text]}
    )


def of_glob(text: str) -> None:
    covers("**/*a*a*a*a*b", f"/workspace/{text}", "/workspace")


def seconds(call: Callable[[str], None], text: str) -> float:
    """Return the best of three, of this thread's own time."""
    best = float("inf")
    for _ in range(3):
        begin = time.thread_time()
        call(text)
        best = min(best, time.thread_time() - begin)
    return best


PIECES = (
    *TOKENS,
    "a ",
    "case{ timeout 5",
    ")-l ",
    "x% ",
    "?E",
    "@E",
    "0",
    "%~",
    "\v1",
    "é",
    "ls|a ",
)


@pytest.mark.parametrize("piece", dict.fromkeys(PIECES))
@pytest.mark.parametrize("count", [150, 65_536])
def test_no_command_takes_long_to_be_decided(piece: str, count: int) -> None:
    for size in (len(piece.encode()) * count, 8000):
        text = (piece * count).encode()[: min(size, 65_536)].decode(errors="ignore")
        assert seconds(of_command, text) < 0.1, (piece, len(text))


@pytest.mark.parametrize("call", [of_pattern, of_glob])
@pytest.mark.parametrize("piece", ["a", "x", "ab", "a/", " "])
def test_no_pattern_takes_more_than_linear_time(call: Callable[[str], None], piece: str) -> None:
    short, long = piece * 2_000, piece * 32_000
    assert seconds(call, long) < 16 * 4 * max(seconds(call, short), 0.000_05)


@pytest.mark.parametrize("command", ["\ud800", "ls \udfff", "ls '\udc80'; rm x"])
def test_half_of_a_character_is_asked(command: str) -> None:
    verdict = decide(PROFILE, "execute", {"command": command})
    assert (verdict.answer, verdict.detail) == ("ask", "it has half of a character")


@pytest.mark.parametrize(("parse", "text"), [(parse_glob, "\ud800"), (parse_pattern, "re:\udfff")])
def test_half_of_a_character_is_no_pattern(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(PatternError, match="half of a character"):
        parse(text)


HIGH = "a{\U0010ffffj} {\U00074cf2,x} ${\U0010ffff} \U0010ffff=1 <<\U0010ffff"


def test_no_character_kills_the_process() -> None:
    # Where one does, that depends on how its memory lies, which is another in each process.
    code = f"from deepd.policy.reading import read_command; read_command({HIGH!r})"
    for _ in range(12):
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_words_beyond_ascii_are_read_as_they_are() -> None:
    found = read_command("ls \u00e9 '\u00fc x'; rm \U0001f642").commands
    assert [str(each) for each in found] == ["ls \u00e9 \u00fc x", "rm \U0001f642"]


def test_a_program_that_is_called_like_an_expression_is_no_expression() -> None:
    assert pattern_of([Word("re:."), Word("x")]) == "'re:.' x"
