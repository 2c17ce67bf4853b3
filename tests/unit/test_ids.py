"""Names become folders and parts of containers' names: nothing hostile is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepd.errors import BadRequestError
from deepd.model.ids import parse_profile_name, parse_session_name

HOSTILE = [
    "",
    ".",
    "..",
    "...",
    "../x",
    "x/../y",
    "x/y",
    "/etc",
    "x/",
    "a..b",
    "-rf",
    "--help",
    ".hidden",
    "_x",
    "~root",
    "A",
    "x y",
    "x\n",
    "x\0",
    "x\\y",
    "x;y",
    "$(id)",
    "`id`",
    "x%2fy",
    "ａ",
    "x\u202ey",
    "x\u200d",
    "ä",
    "\udcff",
    "x" * 64,
    "x" * 100_000,
]


@pytest.mark.parametrize("parse", [parse_session_name, parse_profile_name])
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_no_hostile_text_is_a_name(text: str, parse: type) -> None:
    with pytest.raises(BadRequestError) as refused:
        parse(text)
    assert len(str(refused.value)) < 1000


@given(st.text(max_size=70) | st.text("abz09._-/", max_size=70))
def test_whatever_is_a_name_is_one_folder_below(text: str) -> None:
    try:
        name = parse_session_name(text)
    except BadRequestError:
        return
    root = Path("/workspaces")
    assert (root / name).resolve().parent == root
    assert name == text
    assert name[0] not in "-._"
