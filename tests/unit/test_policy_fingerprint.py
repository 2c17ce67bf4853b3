"""The fingerprint changes with everything that decides what runs, and with nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepd.errors import ArgumentsError
from deepd.policy.fingerprint import Bound, fingerprint

SHOWN = Bound(
    session="main",
    profile_revision="r1",
    image_digest="sha256:1",
    tool="execute",
    args={"command": "ls", "timeout": 1},
    body_sha256="b1",
    env={"A": "1"},
    cwd="/workspace",
    user="1000:1000",
    files={"run.sh": "h1"},
)
OTHERS: dict[str, list[Any]] = {
    "session": ["main2", ""],
    "profile_revision": ["r2"],
    "image_digest": ["sha256:2"],
    "tool": ["write_file"],
    "args": [
        {"command": "ls "},
        {"command": "ls"},
        {"command": "ls", "timeout": 1.0},
        {"command": "ls", "timeout": True},
        {"command": "ls", "timeout": "1"},
        {"command": "ls", "timeout": None},
        {"command": ["ls"], "timeout": 1},
        {"command": "ls", "timeout": 1, "cwd": ""},
    ],
    "body_sha256": ["b2", ""],
    "env": [{"A": "2"}, {"B": "1"}, {}, {"A": "1", "B": ""}],
    "cwd": ["/workspace/src", ""],
    "user": ["0:0"],
    "files": [{"run.sh": "h2"}, {"run2.sh": "h1"}, {}],
}


def test_every_field_is_tested() -> None:
    assert set(OTHERS) == {field.name for field in dataclasses.fields(Bound)}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in OTHERS.items() for value in values]
)
def test_a_change_of_any_field_makes_another_fingerprint(field: str, value: Any) -> None:
    changed = dataclasses.replace(SHOWN, **{field: value})
    assert fingerprint(changed) != fingerprint(SHOWN)


def test_no_two_of_the_changes_have_one_fingerprint() -> None:
    changed = [
        dataclasses.replace(SHOWN, **{field: value})
        for field, values in OTHERS.items()
        for value in values
    ]
    assert len({fingerprint(one) for one in changed}) == len(changed)


def test_the_order_of_keys_does_not_matter() -> None:
    turned = dataclasses.replace(SHOWN, args={"timeout": 1, "command": "ls"})
    assert fingerprint(turned) == fingerprint(SHOWN)


def test_the_fingerprint_of_a_stored_call_is_the_same_after_an_upgrade() -> None:
    assert fingerprint(SHOWN) == "0d7e8f89667018bb1756fcd01df79dea983cb79fbe2cffc7aa141bc2e30e2835"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=3))
def test_any_arguments_of_json_are_bound(args: dict[str, Any]) -> None:
    try:
        assert len(fingerprint(dataclasses.replace(SHOWN, args=args))) == 64
    except ArgumentsError:
        assert "inf" in repr(args)


@pytest.mark.parametrize(
    "args", [{"a": float("nan")}, {"a": float("inf")}, {"a": b"x"}, {"a": {1: 2}}, {1: 2}]
)
def test_what_json_cannot_say_is_refused(args: Any) -> None:
    with pytest.raises(ArgumentsError):
        fingerprint(dataclasses.replace(SHOWN, args=args))


def test_arguments_of_any_depth_are_bound_or_refused() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ArgumentsError):
        fingerprint(dataclasses.replace(SHOWN, args={"a": deep}))
