"""The profiles that come with deepd, those that must load for ever, and how files are found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deepd.cli.schema import schema_text
from deepd.config.advice import warnings
from deepd.config.load import find_profiles, load_profile, name_problems
from deepd.config.schema import profile_schema
from deepd.config.shape import ProfileFile
from deepd.config.starter import starter_profile
from deepd.errors import ProfileError
from tests.unit.profile_texts import IMAGE, load, settings_for, write

ROOT = Path(__file__).parents[2]
GOLDEN = {
    "minimal": "9f82572b3666ed1e",
    "held": "8d401c1b7804b8a5",
    "full": "0fb791630e02d2ed",
}
"""The container hash of each profile: it may not change, or an upgrade replaces every sandbox."""


def copy(file: Path, folder: Path) -> Path:
    """Copy a file of the repository to where its modes are known."""
    return write(folder, file.read_bytes(), file.name)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_profile_that_loaded_once_loads_for_ever_and_replaces_no_sandbox(
    tmp_path: Path, name: str
) -> None:
    file = copy(ROOT / "tests/golden/profiles/v1" / f"{name}.toml", tmp_path)
    profile = load_profile(file, settings_for(Path("/nowhere/of/deepd")))
    assert profile.container_hash()[:16] == GOLDEN[name]


def test_every_golden_profile_is_tested() -> None:
    files = (ROOT / "tests/golden/profiles/v1").iterdir()
    assert {file.stem for file in files} == set(GOLDEN)


@pytest.mark.parametrize("name", ["minimal", "python", "strict"])
def test_the_profiles_to_start_from_are_right(tmp_path: Path, name: str) -> None:
    profile = load_profile(copy(ROOT / "config" / f"{name}.toml", tmp_path), settings_for(tmp_path))
    assert bool(warnings(profile, {})) is (name == "minimal")


def test_the_starter_is_right_as_it_is_and_with_every_comment_taken_out(tmp_path: Path) -> None:
    text = starter_profile()
    assert warnings(load(tmp_path, text), {}) == ()
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    active = [line for line in lines if re.match(r"\[|[a-z_]+ = ", line)]
    full = load(tmp_path, "\n".join(active))
    assert full.limits.pids == 256
    assert full.secrets == ("PIP_TOKEN",)
    assert len(active) > 12


def test_the_starter_takes_any_image_text_without_breaking(tmp_path: Path) -> None:
    assert load(tmp_path, starter_profile("a/b:1")).image == "a/b:1"
    with pytest.raises(ProfileError, match="control character"):
        load(tmp_path, starter_profile('a"\ninterrupt_on = false #'))


def test_the_schema_in_the_repository_is_the_one_of_the_code() -> None:
    kept = (ROOT / "config/profile.schema.json").read_text()
    assert kept == schema_text(), "run: deepd schema > config/profile.schema.json"


def test_the_schema_knows_every_key_and_says_what_it_is() -> None:
    schema = profile_schema()
    assert set(schema["properties"]) == set(ProfileFile.model_fields)
    assert schema["additionalProperties"] is False
    assert "null" not in json.dumps(schema)
    assert schema["properties"]["sessions"]["description"].startswith("Kept in existence")
    assert {"type": "boolean"} in schema["properties"]["interrupt_on"]["oneOf"]


def test_a_folder_gives_its_profiles_and_nothing_of_editors(tmp_path: Path) -> None:
    for name in ("b.toml", "a.toml", ".c.toml", "a.toml~", ".#a.toml", "#a.toml#", "4913"):
        (tmp_path / name).touch()
    for name in ("deepd.toml", "profile.schema.json", "README.md", "a.toml.swp", "a.toml.bak"):
        (tmp_path / name).touch()
    (tmp_path / "folder.toml").mkdir()
    assert find_profiles([tmp_path]) == [tmp_path / "a.toml", tmp_path / "b.toml"]


def test_files_that_are_named_are_taken_as_they_are_and_once(tmp_path: Path) -> None:
    odd = tmp_path / ".odd"
    good = tmp_path / "a.toml"
    good.touch()
    assert find_profiles([odd, good, tmp_path, good]) == [odd, good]


def test_with_nothing_named_the_config_folder_is_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPD_CONFIG_DIR", str(tmp_path / "config"))
    assert find_profiles([]) == []
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "a.toml").touch()
    assert find_profiles([]) == [tmp_path / "config" / "a.toml"]


def test_two_profiles_of_one_name_are_an_error_that_names_both_files(tmp_path: Path) -> None:
    one = load(tmp_path, IMAGE, "one.toml")
    other = load(tmp_path, IMAGE + 'name = "one"', "other.toml")
    assert name_problems(one, []) == ()
    (problem,) = name_problems(other, [one])
    assert problem.position.file == str(other.file)
    assert str(one.file) in problem.message
