"""Globs: what each matches, and that the expression agrees with a plain matcher."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepd.errors import ArgumentsError
from deepd.sandbox.expression import compile_glob
from deepd.sandbox.pattern import name_filter, split_glob
from deepd.sandbox.search import matches


def match(pattern: str, path: str, *, hidden: bool = False) -> bool:
    return matches(compile_glob(pattern, hidden=hidden), path)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.py", ["a.py", "ä.py"], ["a.pyc", "src/a.py", ".py", ".a.py"]),
        ("**/*.py", ["a.py", "src/a.py", "src/x/y/a.py"], [".git/a.py", "src/.a.py", "a.js"]),
        ("src/**/*.py", ["src/a.py", "src/x/a.py"], ["a.py", "src.py", "x/src/a.py"]),
        ("**", ["a", "a/b/c"], [".a", "a/.b"]),
        ("src/**", ["src/a", "src/a/b"], ["src", "src/.x"]),
        ("*", ["a", "a b"], ["a/b", ".a"]),
        (".*", [".a", "..."], ["a"]),
        ("**/.env", [".env", "a/b/.env"], ["env", ".git/.env"]),
        ("?.py", ["a.py", "é.py"], ["ab.py", ".py"]),
        ("?", ["a"], [".", "/"]),
        ("[abc]x", ["ax", "cx"], ["dx", "abcx"]),
        ("[!abc]x", ["dx"], ["ax", "/x", ".x"]),
        ("[a-c.]x", ["bx"], [".x"]),
        ("a[--0]b", ["a-b", "a.b", "a0b"], ["a/b"]),
        ("[]x]", ["]", "x"], ["y"]),
        ("[z-a]", [], ["z", "a", "m"]),
        ("a[b", ["a[b"], ["ab"]),
        ("a**b", ["ab", "axxb"], ["a/b"]),
        ("**/a/**/b", ["a/b", "x/a/y/z/b"], ["a", "b"]),
        ("*[.]py", ["a.py"], [".py"]),
        ("*?py", ["a.py", "xpy"], [".py"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a+(b)|c^$", ["a+(b)|c^$"], ["aab"]),
        ("new\nline*", ["new\nline", "new\nline\n2"], ["new line"]),
    ],
)
def test_a_glob_matches_what_its_words_say(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [path for path in yes if not match(pattern, path)] == []
    assert [path for path in no if match(pattern, path)] == []


def test_hidden_names_match_when_they_are_wanted() -> None:
    assert match("**/*.py", ".git/a.py", hidden=True)
    assert match("*.py", ".py", hidden=True)
    assert match("?x", ".x", hidden=True)


def test_a_name_that_is_no_text_matches_wildcards() -> None:
    assert match("*.txt", "\udcff\udcfe.txt")
    assert match("?.txt", "\udcff.txt")


@pytest.mark.parametrize(
    ("pattern", "base", "rest"),
    [
        ("**/*.py", "", "**/*.py"),
        ("src/lib/*.py", "src/lib", "*.py"),
        ("/workspace/src/**", "/workspace/src", "**"),
        ("/*.py", "/", "*.py"),
        ("./a//b", "a/b", ""),
        ("../*.py", "..", "*.py"),
    ],
)
def test_the_walk_begins_where_the_wildcards_do(pattern: str, base: str, rest: str) -> None:
    assert split_glob(pattern) == (base, rest)


@pytest.mark.parametrize("pattern", ["", "a\0b", "x" * 5000])
def test_a_pattern_that_makes_no_sense_is_refused(pattern: str) -> None:
    with pytest.raises(ArgumentsError):
        split_glob(pattern)


def test_a_pattern_made_to_be_slow_is_not() -> None:
    start = time.monotonic()
    assert not match("*a" * 200 + "b", "a" * 5000)
    assert not match("**/" * 50 + "b", "/".join("a" * 200))
    assert time.monotonic() - start < 5


def plain(parts: list[str], names: list[str]) -> bool:
    """Match part by part, by trying everything."""
    if not parts:
        return not names
    if parts[0] == "**":
        return (len(parts) > 1 and plain(parts[1:], names)) or (
            bool(names)
            and not names[0].startswith(".")
            and (plain(parts, names[1:]) or (len(parts) == 1 and len(names) == 1))
        )
    return bool(names) and plain_name(parts[0], names[0]) and plain(parts[1:], names[1:])


def plain_name(part: str, name: str, *, first: bool = True) -> bool:
    if not part:
        return not name
    if first and part[0] in "*?" and name.startswith("."):
        return False
    if part[0] == "*":
        return plain_name(part[1:], name, first=first) or (
            bool(name) and plain_name(part, name[1:], first=False)
        )
    return bool(name) and part[0] in ("?", name[0]) and plain_name(part[1:], name[1:], first=False)


parts = st.text("ab.*?", min_size=1, max_size=5).filter(lambda part: part != ".") | st.just("**")
names = st.text("ab.", min_size=1, max_size=4)


@given(st.lists(parts, min_size=1, max_size=4), st.lists(names, min_size=1, max_size=4))
@settings(max_examples=1000)
def test_the_expression_agrees_with_a_plain_matcher(wild: list[str], path: list[str]) -> None:
    assert match("/".join(wild), "/".join(path)) == plain(wild, path)


@given(st.text("ab[]!^-*?./\\(){}|+$é\n", min_size=1, max_size=12), st.text(max_size=8))
@settings(max_examples=500)
def test_any_text_is_a_pattern_that_compiles(pattern: str, path: str) -> None:
    rest = split_glob(pattern).rest
    if rest:
        match(rest, path)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**/*.py", "*.py"),
        ("src/**/test_?.py", "test_*.py"),
        ("**", ""),
        ("src/**", ""),
        ("*/[ab].py", ""),
        ("**/\u00e9*", ""),
        ("a/b\\*", ""),
    ],
)
def test_the_guest_is_asked_only_for_names_that_can_match(pattern: str, names: str) -> None:
    assert name_filter(pattern) == names


@given(
    st.text("ab.*?/[]\u00e9", min_size=1, max_size=8),
    st.text("ab./[]\u00e9", min_size=1, max_size=8),
)
def test_no_name_that_matches_is_left_out(pattern: str, path: str) -> None:
    rest = split_glob(pattern).rest
    asked = name_filter(rest) if rest else ""
    if asked and match(rest, path, hidden=True):
        assert fnmatchcase(path.rpartition("/")[2], asked)
