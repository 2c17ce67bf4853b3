"""Workspaces are made as the right owner's, and nobody can lead deepd elsewhere by a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepd.engine.workspace import prepare_workspace, remove_workspace
from deepd.errors import EngineRefusedError

IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can make another's folders")


def test_a_workspace_is_made_with_all_folders_above_it(tmp_path: Path) -> None:
    path = prepare_workspace(tmp_path / "a" / "b", "main")
    assert path == tmp_path / "a/b/main/workspace"
    found = path.stat()
    assert found.st_uid == (1000 if IS_ROOT else os.geteuid())
    assert found.st_mode & 0o777 == 0o755


def test_a_strict_umask_does_not_lock_the_sandbox_out(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        path = prepare_workspace(tmp_path / "root", "main")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o755


def test_a_workspace_that_is_there_keeps_its_files_and_mode(tmp_path: Path) -> None:
    path = prepare_workspace(tmp_path, "main")
    (path / "kept").write_text("kept")
    path.chmod(0o700)
    owner = path.stat().st_uid
    assert prepare_workspace(tmp_path, "main") == path
    assert (path / "kept").read_text() == "kept"
    assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o700, owner)


def test_a_link_of_our_own_above_the_workspaces_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("../" + tmp_path.name + "/real")
    path = prepare_workspace(tmp_path / "link", "main")
    assert path == tmp_path / "real/main/workspace"


def test_links_that_lead_in_circles_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(EngineRefusedError, match="links"):
        prepare_workspace(tmp_path / "a", "main")


def test_a_link_in_place_of_the_workspace_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "root/main").mkdir(parents=True)
    (tmp_path / "root/main/workspace").symlink_to("/etc")
    with pytest.raises(EngineRefusedError, match="not a folder"):
        prepare_workspace(tmp_path / "root", "main")


@needs_root
def test_a_link_that_another_user_made_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    os.lchown(tmp_path / "link", 1001, 1001)
    with pytest.raises(EngineRefusedError, match="belongs to user 1001"):
        prepare_workspace(tmp_path / "link", "main")


@needs_root
def test_a_folder_that_another_user_owns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 1001, 1001)
    with pytest.raises(EngineRefusedError, match="belongs to user 1001") as caught:
        prepare_workspace(tmp_path / "theirs", "main")
    assert caught.value.next_step


def test_a_folder_that_all_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(EngineRefusedError, match="written by others"):
        prepare_workspace(tmp_path / "open", "main")
    (tmp_path / "open").chmod(0o1777)
    assert prepare_workspace(tmp_path / "open", "main").is_dir()


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineRefusedError, match="not a folder"):
        prepare_workspace(tmp_path / "file", "main")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_a_name_that_is_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(EngineRefusedError, match="cannot name"):
        prepare_workspace(tmp_path, name)


def test_removing_a_workspace_follows_no_link_in_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    path = prepare_workspace(tmp_path / "root", "main")
    (path / "link").symlink_to(outside)
    (path / "folder").mkdir()
    remove_workspace(tmp_path / "root", "main")
    remove_workspace(tmp_path / "root", "main")
    assert not (tmp_path / "root/main").exists()
    assert (outside / "kept").exists()


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    prepare_workspace(tmp_path, "main")
    before = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    for _ in range(3):
        prepare_workspace(tmp_path / "more" / ".." / "more", "main")
        with pytest.raises(EngineRefusedError):
            prepare_workspace(tmp_path / "file", "main")
    assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == before


def test_a_folder_that_another_session_makes_at_the_same_time_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = os.mkdir

    def somebody_is_faster(name: str, mode: int, *, dir_fd: int) -> None:
        make(name, mode, dir_fd=dir_fd)
        make(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", somebody_is_faster)
    assert prepare_workspace(tmp_path / "new", "main").is_dir()
