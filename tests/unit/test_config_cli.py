"""`deepd init`, `check` and `schema`, as a person and as a program call them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from deepd.cli.main import main
from tests.unit.profile_texts import IMAGE, write


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("CONFIG", "STATE", "RUNTIME"):
        monkeypatch.setenv(f"DEEPD_{name}_DIR", str(tmp_path / name.lower()))


def test_what_init_writes_passes_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    assert "next: deepd check profile.toml" in capsys.readouterr().out
    assert main(["check", "profile.toml"]) == 0
    seen = capsys.readouterr()
    assert seen.out == "profile (profile.toml): ok\n"
    assert seen.err == ""


def test_init_never_writes_over_a_file_unless_it_must(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = Path("mine.toml")
    file.write_text("mine")
    assert main(["init", "mine.toml"]) == 1
    assert file.read_text() == "mine"
    assert "add --force" in capsys.readouterr().err
    assert main(["init", "mine.toml", "--force", "--image", "alpine:3"]) == 0
    assert 'image = "alpine:3"' in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [entry.name for entry in Path().iterdir()] == ["mine.toml"]


def test_init_says_where_it_cannot_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "none/mine.toml"]) == 1
    assert "cannot write none/mine.toml: No such file" in capsys.readouterr().err


def test_check_prints_all_errors_of_all_files_and_exits_with_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, 'image = "a"\nidle_timout = "15m"\nwarm = true\n', "bad.toml")
    write(tmp_path, IMAGE, "good.toml")
    assert main(["check", "bad.toml", "good.toml", "none.toml"]) == 78
    seen = capsys.readouterr()
    assert seen.err == (
        "error: unknown key `idle_timout`\n"
        "  --> bad.toml:2:1\n"
        "   |\n"
        ' 2 | idle_timout = "15m"\n'
        "   | ^^^^^^^^^^^ did you mean `idle_timeout`?\n"
        "\n"
        "error: `warm` must be an integer, not a boolean\n"
        "  --> bad.toml:3:8\n"
        "   |\n"
        " 3 | warm = true\n"
        "   |        ^^^^\n"
        "\n"
        "error: cannot be read: No such file or directory\n"
        "  --> none.toml\n"
        "\n"
        "warning: nothing is held: `interrupt_on` asks for no tool of deepd's\n"
        "  --> good.toml\n\n"
    )
    assert seen.out == "bad.toml: 2 errors\ngood (good.toml): ok\nnone.toml: 1 error\n"


def test_check_finds_two_profiles_of_one_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, IMAGE, "one.toml")
    write(tmp_path, IMAGE + 'name = "one"', "two.toml")
    assert main(["check", "."]) == 78
    assert "the profile 'one' is also in one.toml" in capsys.readouterr().err


def test_check_answers_programs_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, 'imge = "a"', "bad.toml")
    write(tmp_path, IMAGE, "good.toml")
    assert main(["check", "--json", "."]) == 78
    bad, good = json.loads(capsys.readouterr().out)["profiles"]
    assert (bad["ok"], bad["name"], bad["revision"]) == (False, None, None)
    assert {problem["message"] for problem in bad["problems"]} == {
        "unknown key `imge`",
        "there is neither `image` nor `[build]`",
    }
    place = next(one for one in bad["problems"] if one["hint"] == "did you mean `image`?")
    assert (place["line"], place["column"], place["length"]) == (1, 1, 4)
    assert (good["ok"], good["name"], len(good["revision"])) == (True, "good", 64)
    assert len(good["warnings"]) == 1


def test_check_with_nothing_to_check_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check"]) == 4
    assert "deepd init" in capsys.readouterr().err


def test_schema_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "deepd profile"
