"""Settings: argument, environment, file, default; and where deepd's folders are."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deepd.config import paths
from deepd.config.settings import load_settings
from deepd.errors import SettingsError


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("DEEPD_", "XDG_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "config" / "deepd"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder


def write(config: Path, text: str) -> None:
    file = config / "deepd.toml"
    file.write_text(text)
    file.chmod(0o644)


def test_an_argument_is_over_the_environment_over_the_file_over_the_default(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().start_concurrency == 4
    write(config, "start_concurrency = 5\n")
    assert load_settings().start_concurrency == 5
    monkeypatch.setenv("DEEPD_START_CONCURRENCY", "6")
    assert load_settings().start_concurrency == 6
    assert load_settings(start_concurrency=7).start_concurrency == 7
    assert load_settings(start_concurrency=None).start_concurrency == 6


def test_the_defaults_follow_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().state_dir == tmp_path / ".local/share/deepd"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "xdg"))
    assert load_settings().state_dir == tmp_path / "data/deepd"
    assert load_settings().runtime_dir == tmp_path / "xdg/deepd"
    monkeypatch.setenv("DEEPD_RUNTIME_DIR", str(tmp_path / "r"))
    assert paths.operator_socket() == tmp_path / "r/deepd.sock"
    assert paths.agent_socket() == tmp_path / "r/agent.sock"


def test_client_and_daemon_find_the_folders_of_the_file_alike(config: Path) -> None:
    write(config, 'runtime_dir = "run"\nstate_dir = "~/state"\n')
    assert load_settings().runtime_dir == config / "run" == paths.runtime_dir()
    assert load_settings().state_dir == Path.home() / "state" == paths.state_dir()


def test_roots_are_a_list_in_the_file_and_a_path_in_the_environment(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config, 'allowed_roots = ["~/a", "b"]\n')
    assert load_settings().allowed_roots == (Path.home() / "a", config / "b")
    monkeypatch.setenv("DEEPD_ALLOWED_ROOTS", "/x:/y")
    assert load_settings().allowed_roots == (Path("/x"), Path("/y"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "state_dri = 'x'",
            "deepd.toml:1:1\n   |\n 1 | state_dri = 'x'\n   | ^^^^^^^^^ did you mean `state_dir`?",
        ),
        ("\nstart_concurrency = true", "deepd.toml:2:21"),
        ("start_concurrency = 0", "`start_concurrency` must be greater than or equal to 1"),
        ("engine_timeout = nan", "`engine_timeout` must be"),
        ("docker_host = 'x'", "`docker_host` must be an endpoint"),
        ("allowed_roots = [1]", "`allowed_roots`"),
        ("a = [", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_shown_in_its_place(config: Path, text: str, message: str) -> None:
    write(config, text)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert message in str(caught.value)


def test_a_wrong_variable_or_argument_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="argument engine_timeout"):
        load_settings(engine_timeout=-1)
    monkeypatch.setenv("DEEPD_ENGINE_TIMEOUT", "soon")
    with pytest.raises(SettingsError, match="DEEPD_ENGINE_TIMEOUT must be a valid number"):
        load_settings()


def test_a_socket_path_that_the_kernel_would_cut_is_refused() -> None:
    assert paths.check_socket_path(Path("/" + "a" * 106))
    with pytest.raises(SettingsError, match="108 bytes long"):
        paths.check_socket_path(Path("/" + "a" * 107))
    with pytest.raises(SettingsError, match="bytes"):
        paths.check_socket_path(Path("/" + "é" * 60))


def test_a_private_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    folder = paths.private_dir(tmp_path / "a" / "b")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    assert stat.S_IMODE(paths.private_dir(folder).stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(SettingsError, match="a link to one"):
        paths.private_dir(tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot make the folder"):
        paths.private_dir(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_a_private_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 4321, 4321)
    with pytest.raises(SettingsError, match="another user"):
        paths.private_dir(folder)


def test_the_paths_cost_no_package() -> None:
    check = (
        "import deepd.config.paths, sys; print('pydantic' in sys.modules, 'tomllib' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=30
    )
    assert result.stdout.split() == ["False", "False"]
