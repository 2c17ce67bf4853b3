"""Every key and value is where the scan says it is."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deepd.config.toml_positions import MAX_DEPTH, Path, ScanError, scan

BARE = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=6)
PRINTABLE = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=8)
LITERAL = PRINTABLE.map(lambda text: "'" + text.replace("'", "") + "'")
ESCAPED = st.sampled_from(["\\n", '\\"', "\\\\", "\\u00e9", "\\t"])
BASIC = st.lists(PRINTABLE.map(lambda text: text.replace('"', "").replace("\\", "")) | ESCAPED).map(
    lambda parts: '"' + "".join(parts) + '"'
)
LONG = st.sampled_from(
    [
        '"""a "quoted"" word"""',
        '"""\nfirst\n# no comment\n[no.table]\n"""',
        '"""ends with a quote""""',
        '"""ends with two"""""',
        '"""a \\\n   folded line\\""""',
        "'''\nkey = 1\n'''",
        "'''it''s'''''",
        "''''''",
        '""',
    ]
)
PLAIN = st.sampled_from(
    [
        "1",
        "-7",
        "+0",
        "0xff",
        "1_000",
        "1.5",
        "-1e9",
        "inf",
        "true",
        "false",
        "1979-05-27",
        "1979-05-27 07:32:00Z",
        "1979-05-27T00:32:00.999999-07:00",
        "07:32:00",
    ]
)
SCALARS = PLAIN | BASIC | LITERAL | LONG
GAPS = st.sampled_from(["", " ", "\n", "\n  # ], } and = in a comment\n", "\t"])
BLANKS = st.sampled_from(["", " ", "\t", "  "])
KEYS = BARE | LITERAL | BASIC


@st.composite
def arrays(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    written = [draw(GAPS) + draw(items) + draw(GAPS) for _ in range(draw(st.integers(0, 3)))]
    comma = draw(st.sampled_from(["", "," + draw(GAPS)])) if written else draw(GAPS)
    return "[" + ",".join(written) + comma + "]"


@st.composite
def dotted_keys(draw: st.DrawFn, first: str) -> str:
    """A key whose first part is unique, so that no two collide."""
    parts = [draw(st.sampled_from([first, f'"{first}"', f"'{first}'"]))]
    parts += draw(st.lists(KEYS, max_size=2))
    return (draw(BLANKS) + "." + draw(BLANKS)).join(parts)


@st.composite
def inline_tables(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    pairs = [
        f"{draw(BLANKS)}{draw(dotted_keys(f'k{number}'))}{draw(BLANKS)}={draw(BLANKS)}{draw(values)}"
        for number in range(draw(st.integers(0, 3)))
    ]
    return "{" + ", ".join(pairs) + draw(BLANKS) + "}"


VALUES = SCALARS | arrays(SCALARS) | inline_tables(SCALARS | arrays(SCALARS))
VALUES = VALUES | arrays(VALUES)


@st.composite
def documents(draw: st.DrawFn) -> str:
    end = draw(st.sampled_from(["\n", " # comment = 1\n", "\n\n", "\t\n# [x]\n"]))
    lines: list[str] = []
    for number in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["pair", "pair", "table", "array of tables", "sub-table"]))
        name = draw(dotted_keys(f"t{number}"))
        if kind == "table":
            lines.append(f"[{draw(BLANKS)}{name}{draw(BLANKS)}]{end}")
        elif kind == "array of tables":
            lines.append(f"[[ a ]]{end}")
        elif kind == "sub-table" and any(line.startswith("[[") for line in lines):
            lines.append(f"[a.{name}]{end}")
        else:
            lines.append(f"{draw(BLANKS)}{name}{draw(BLANKS)}={draw(BLANKS)}{draw(VALUES)}{end}")
    return "".join(lines)


def everything(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from everything(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from everything(item, (*path, number))


def check(text: str) -> None:
    values = tomllib.loads(text)
    places = scan(text)
    found = dict(everything(values))
    assert set(places) == set(found)
    for path, place in places.items():
        written = text[place.key.start : place.key.end]
        if isinstance(path[-1], str):
            assert list(tomllib.loads(f"{written} = 0")) == [path[-1]]
        if place.value:
            part = text[place.value.start : place.value.end]
            # By their text, because nan is not equal to itself and 1 is to True.
            assert repr(tomllib.loads(f"x = {part}")["x"]) == repr(found[path])


def depth(value: Any) -> int:
    return max((len(path) for path, _ in everything(value)), default=0)


@given(documents())
@settings(max_examples=300)
def test_each_place_reads_as_the_value_that_is_there(text: str) -> None:
    assume(depth(tomllib.loads(text)) <= MAX_DEPTH)
    check(text)


NAMES = st.text(max_size=8)
TREES = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.text(max_size=20) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, TREES, max_size=4).filter(lambda tree: depth(tree) <= MAX_DEPTH))
@settings(max_examples=200)
def test_what_a_writer_of_toml_writes_is_found_again(tree: dict[str, Any]) -> None:
    check(tomli_w.dumps(tree))


TOKENS = st.sampled_from(
    [
        "a",
        "b.c",
        '"q"',
        "=",
        " = ",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        ",",
        "\n",
        '"',
        "'",
        '"""',
        "'''",
        "#",
        "1",
        "true",
        "1979-05-27 ",
        "\\",
        "\t",
        ".",
        "é",
        "\x00",
        "nan",
        "0x",
    ]
)


@given(st.lists(TOKENS, max_size=25).map("".join))
@settings(max_examples=1000)
def test_the_scan_refuses_no_toml_but_what_is_too_large(text: str) -> None:
    try:
        scan(text)
    except ScanError as error:
        if not error.reason:
            with pytest.raises(tomllib.TOMLDecodeError):
                tomllib.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "a." * MAX_DEPTH + "a = 1",
        "a = " + "[" * 9 + "]" * 9,
        "[" + "a." * 8 + "a]",
        "[[a]]\n[[a.b]]\n[[a.b.c]]\n[[a.b.c.d]]\n[a.b.c.d.e]",
        "a=" + "{a=" * 8 + "1" + "}" * 8,
    ],
)
def test_nine_levels_are_too_deep(text: str) -> None:
    with pytest.raises(ScanError, match="deeper than 8"):
        scan(text)


def test_eight_levels_are_not_too_deep() -> None:
    check("a." * 7 + "a = 1\n")
    check("b = " + "[" * 7 + "1" + "]" * 7)


def test_two_thousand_and_one_values_are_too_many() -> None:
    with pytest.raises(ScanError, match="more than 2000"):
        scan("a = [" + "1," * 2000 + "]")


def test_a_header_is_the_place_of_its_table_though_another_mentioned_it_first() -> None:
    text = "[a.b]\n[a]\nc = 1\n"
    assert scan(text)["a",].key.start == text.index("[a]\n") + 1
