"""Passage: who may come to a folder by the permissions on the way, and what a profile is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from deepd.model.passage import closed_folder
from tests.unit.profile_texts import load, said

ISOLATED = 'engine = "local"\n'
PLAIN = 'engine = "local"\nlocal = {isolation = "none"}\n'


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that everybody may come to."""
    with TemporaryDirectory(prefix="deepd-passage-") as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "a" / "b").mkdir(parents=True)
        yield path


@pytest.mark.parametrize(
    ("mode", "user", "closed"),
    [
        (0o711, (), False),
        (0o700, (), True),
        (0o710, (), True),
        (0o700, (os.geteuid(), os.getegid()), False),
        (0o611, (os.geteuid() or 1, os.getegid()), bool(os.geteuid())),
        (0o710, (4243, os.getegid()), False),
        (0o701, (4243, os.getegid()), True),
        (0o000, (0, 0), False),
    ],
)
def test_the_permissions_that_count_for_a_user_let_it_pass(
    folder: Path, mode: int, user: tuple[int, ...], *, closed: bool
) -> None:
    (folder / "a").chmod(mode)
    try:
        assert closed_folder(folder / "a" / "b", *user) == (folder / "a" if closed else None)
    finally:
        (folder / "a").chmod(0o700)


def test_what_is_not_there_yet_is_made_so_that_others_may_pass(folder: Path) -> None:
    assert closed_folder(folder / "new" / "er") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has calls run as somebody else")
def test_plain_processes_of_root_are_told_where_their_workspaces_can_be(folder: Path) -> None:
    (folder / "state").mkdir(mode=0o700)  # as a daemon makes it
    (told,) = said(folder, PLAIN)
    assert told.startswith("2:22 ")
    assert f"{folder}/state is closed to others" in told
    assert "set `workspace_root`" in told
    assert len(said(folder, f'user = "1000:1000"\n{PLAIN}')) == 1
    for text in (f'workspace_root = "spaces"\n{PLAIN}', f'user = "root"\n{PLAIN}', ISOLATED):
        assert load(folder, text)
    folder.chmod(0o700)
    (told,) = said(folder, f'workspace_root = "spaces"\n{PLAIN}')
    assert told.startswith("1:18 ")
    assert f"{folder} is closed to others" in told
