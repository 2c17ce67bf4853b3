"""systemd units: what is installed is what is checked in, and systemd itself finds no fault."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deepd.cli.main import main
from deepd.cli.units import render_unit

CONFIG = Path(__file__).parents[2] / "config"
COMMAND = ["/usr/bin/deepd", "run", "--log-format", "json"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where a user's units are, and have no systemctl."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "systemd" / "user"


@pytest.mark.parametrize("kind", ["user", "system"])
def test_the_units_in_config_are_what_is_installed(kind: str) -> None:
    text = render_unit(COMMAND, system=kind == "system")
    assert (CONFIG / f"deepd.{kind}.service").read_text() == text


@pytest.mark.parametrize("kind", ["user", "system"])
def test_systemd_finds_no_fault(kind: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "deepd.service"
    unit.write_text(render_unit(["/bin/true", "run"], system=kind == "system"))
    scope = ["--user"] if kind == "user" else []
    done = subprocess.run(
        [analyze, *scope, "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_unit_is_written_shown_and_removed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["service", "install", "-c", "a profile.toml"]) == 0
    assert "systemctl --user daemon-reload" in capsys.readouterr().out
    written = (folder / "deepd.service").read_text()
    assert f'-c "{Path("a profile.toml").absolute()}"' in written
    assert "Type=notify" in written
    assert main(["service", "show", "-c", "a profile.toml"]) == 0
    assert capsys.readouterr().out == written
    assert main(["service", "install"]) == 0  # over our own
    assert "a profile" not in (folder / "deepd.service").read_text()
    assert main(["service", "uninstall"]) == 0
    assert list(folder.iterdir()) == []
    assert main(["service", "uninstall"]) == 0


@pytest.mark.parametrize("action", ["install", "uninstall"])
def test_somebody_elses_unit_is_left_alone(
    folder: Path, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir(parents=True)
    (folder / "deepd.service").write_text("[Service]\nExecStart=/bin/mine\n")
    assert main(["service", action]) == 1
    assert "--force" in capsys.readouterr().err
    assert "/bin/mine" in (folder / "deepd.service").read_text()
    assert main(["service", action, "--force"]) == 0


def test_now_needs_systemctl_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--now"]) == 1
    assert "there is no systemctl here" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["service", "show", "--now"])
    assert stopped.value.code == 64


@pytest.mark.parametrize("word", ["a b", "100%", "$HOME", 'say "it"', "back\\slash", ""])
def test_a_word_reaches_the_daemon_as_it_is(word: str) -> None:
    (line,) = [
        line
        for line in render_unit(["/bin/deepd", word], system=False).splitlines()
        if line.startswith("ExecStart=")
    ]
    assert _read_as_systemd_does(line.removeprefix("ExecStart=/bin/deepd ")) == word


def _read_as_systemd_does(text: str) -> str:
    text = text.replace("%%", "%").replace("$$", "$")
    if text.startswith('"'):
        text = text[1:-1].replace('\\"', '"')
    return text.replace("\\\\", "\\")
