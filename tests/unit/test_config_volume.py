"""What may be mounted into a sandbox, and what a profile may never reach."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from deepd.config.host_path import HostPathError, resolve
from deepd.config.load import load_profile
from deepd.config.settings import Settings
from deepd.errors import ProfileError
from deepd.model.profile import Volume
from tests.unit.profile_texts import IMAGE, load, problems, said, settings_for, write


def one(folder: Path, volume: str) -> Volume:
    (found,) = load(folder, f"{IMAGE}volumes = [{volume}]").volumes
    return found


def refusal(folder: Path, volumes: str) -> str:
    (problem,) = problems(folder, f"{IMAGE}volumes = [{volumes}]")
    assert problem.position.line == 2
    return f"{problem.message} | {problem.hint}"


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    (tmp_path / "src" / "lib").mkdir(parents=True)
    (tmp_path / "file.txt").touch()


def test_a_source_is_relative_to_the_file_and_not_to_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    source = str(tmp_path / "src")
    for written in ("./src", "src", "src/", "./src/lib/..", source):
        assert one(tmp_path, f'"{written}:/a"') == Volume(source, "/a")
    assert one(tmp_path, '"file.txt:/a.txt:ro"').read_only


def test_the_home_folder_is_written_as_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert one(tmp_path, '"~/data:/a"').source == str(home / "data")


def test_an_engine_volume_takes_the_long_form(tmp_path: Path) -> None:
    table = '{source = "cache", target = "/c", type = "volume", read_only = true}'
    assert one(tmp_path, table) == Volume("cache", "/c", read_only=True, type="volume")
    assert 'type = "volume"}' in refusal(tmp_path, '"cache:/c"')
    for name in ("../x", "a/b", "/a", "-a", "a" * 256):
        table = f'{{source = "{name}", target = "/c", type = "volume"}}'
        assert "not the name of an engine's volume" in refusal(tmp_path, table)


def test_the_volume_of_the_guest_is_deepds_own(tmp_path: Path) -> None:
    table = '{source = "deepd-guest-1234", target = "/c", type = "volume"}'
    assert "deepd keeps for itself" in refusal(tmp_path, table)


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ("src", 'must be "source:target"'),
        (":/a", 'must be "source:target"'),
        ("src:/a:ro:x", 'must be "source:target"'),
        ("src:/a:z", "unknown mode `z`"),
        ("src:a", "target that must be an absolute path"),
        ("src:/", "target that must be a folder below /"),
        ("src://a", "target that must be written without"),
        ("src:/a/../b", "target that must be written without"),
        ("src:/a/", "target that must be written without"),
        ("src:/.deepd", "may not be in /.deepd"),
        ("src:/.deepd/guest", "may not be in /.deepd"),
        ("src:/.deepd-lane", "may not be in /.deepd-lane"),
        ("src:/proc/1", "may not be in /proc"),
        ("src:/sys", "may not be in /sys"),
        ("src:/dev/shm", "may not be in /dev"),
        ("none:/a", "does not exist"),
        ("file.txt/x:/a", "cannot be"),
        ("/:/a", "whole file system"),
        ("../../../../../../..:/a", "whole file system"),
        ("/proc/self:/a", ""),
        ("/dev/null:/a", "neither a folder nor a regular file"),
        ("/etc:/a", "outside the folders that volumes may come from: /etc"),
    ],
)
def test_a_volume_that_may_not_be_is_refused(tmp_path: Path, volume: str, message: str) -> None:
    assert message in refusal(tmp_path, f'"{volume}"')


def test_sockets_and_pipes_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        for name in ("pipe", "sock"):
            assert "neither a folder nor a regular file" in refusal(tmp_path, f'"./{name}:/a"')


def test_one_target_takes_one_volume(tmp_path: Path) -> None:
    assert said(tmp_path, IMAGE + 'volumes = ["src:/a",\n  "file.txt:/a"]') == [
        "3:3 `/a` is mounted twice | first in line 2"
    ]


def test_no_sandbox_sees_the_state_the_sockets_or_a_workspace(tmp_path: Path) -> None:
    for folder in ("state/workspaces/main/workspace", "run", "ws/a"):
        (tmp_path / folder).mkdir(parents=True)
    assert "state folder" in refusal(tmp_path, '"./state:/a:ro"')
    assert "state folder" in refusal(tmp_path, '"./state/workspaces/main/workspace:/a"')
    assert "sockets" in refusal(tmp_path, '"./run:/a:ro"')
    assert "would show the sandbox" in refusal(tmp_path, '"./:/a:ro"')
    text = IMAGE + 'workspace_root = "./ws"\nvolumes = ["./ws/a:/a"]'
    assert "the sessions' workspaces" in said(tmp_path, text)[0]


def test_a_sandbox_may_read_its_profile_and_never_write_it(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    settings = settings_for(tmp_path)
    text = IMAGE + 'volumes = ["./:/a{}"]'
    assert load_profile(write(project, text.format(":ro")), settings).volumes[0].read_only
    with pytest.raises(ProfileError, match="would let the sandbox change this profile"):
        load_profile(write(project, text.format("")), settings)


def test_what_lies_in_a_writable_volume_is_no_source(tmp_path: Path) -> None:
    assert "the sandbox could exchange it" in refusal(tmp_path, '"./src:/a", "./src/lib:/b"')
    assert load(tmp_path, IMAGE + 'volumes = ["./src:/a:ro", "./src/lib:/b"]').volumes


def test_a_link_below_an_allowed_root_is_named_and_refused(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / "src" / "in").symlink_to("lib")
    assert f"through a link: {tmp_path}/out" in refusal(tmp_path, '"./out:/a"')
    assert f"through a link: {tmp_path}/out" in refusal(tmp_path, '"./out/ssl:/a"')
    assert f"through a link: {tmp_path}/src/in" in refusal(tmp_path, '"./src/in:/a"')
    assert "through a link" in refusal(tmp_path, '"./out/../src:/a"')


def test_a_profile_may_be_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").symlink_to(tmp_path)
    write(tmp_path, IMAGE + 'volumes = ["src:/a"]')
    profile = load_profile(tmp_path / "there" / "strict.toml", settings_for(tmp_path))
    assert profile.volumes[0].source == str(tmp_path / "src")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make root's links")
def test_a_link_of_roots_above_the_allowed_roots_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real" / "home").mkdir(parents=True)
    (tmp_path / "usr").symlink_to("real")
    root = tmp_path / "real" / "home"
    assert resolve(tmp_path / "usr" / "home", [root])[0] == root
    (tmp_path / "abs").symlink_to(tmp_path / "real")
    assert resolve(tmp_path / "abs" / "home", [root])[0] == root
    tmp_path.chmod(0o775)
    with pytest.raises(HostPathError, match="through a link"):
        resolve(tmp_path / "usr" / "home", [root])
    tmp_path.chmod(0o700)
    os.lchown(tmp_path / "usr", 4321, 4321)
    with pytest.raises(HostPathError, match="through a link"):
        resolve(tmp_path / "usr" / "home", [root])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make root's links")
def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(HostPathError, match="too many links"):
        resolve(tmp_path / "a", [])


def test_a_folder_where_others_may_write_is_no_way_to_a_source(tmp_path: Path) -> None:
    (tmp_path / "src").chmod(0o777)
    assert "could be exchanged by others" in refusal(tmp_path, '"./src/lib:/a"')
    assert f"chmod o-w {tmp_path}/src" in refusal(tmp_path, '"./src/lib:/a"')
    (tmp_path / "src").chmod(0o1777)
    assert one(tmp_path, '"./src/lib:/a"').target == "/a"


def test_a_walk_leaves_no_file_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    resolve(tmp_path / "src" / ".." / "src" / "lib", [])
    with pytest.raises(HostPathError):
        resolve(tmp_path / "src" / "none", [])
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_allowed_roots_of_the_settings_take_the_place_of_the_usual_ones(
    tmp_path: Path,
) -> None:
    allowed = tmp_path / "allowed"
    (allowed / "x").mkdir(parents=True)
    settings = Settings(
        state_dir=tmp_path / "state", runtime_dir=tmp_path / "run", allowed_roots=(allowed,)
    )
    assert load_profile(write(tmp_path, IMAGE + 'volumes = ["allowed/x:/a"]'), settings).volumes
    with pytest.raises(ProfileError, match="outside the folders"):
        load_profile(write(tmp_path, IMAGE + 'volumes = ["src:/a"]'), settings)


def test_the_workspaces_may_not_be_just_anywhere(tmp_path: Path) -> None:
    assert load(tmp_path, IMAGE + 'workspace_root = "ws"').workspace_root == tmp_path / "ws"
    assert "outside the allowed folders" in said(tmp_path, IMAGE + 'workspace_root = "/etc"')[0]
    assert "sockets" in said(tmp_path, IMAGE + 'workspace_root = "run/ws"')[0]
    assert "not a folder" in said(tmp_path, IMAGE + 'workspace_root = "file.txt"')[0]
