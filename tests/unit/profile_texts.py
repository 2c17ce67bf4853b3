"""Profiles as texts, for the tests that read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepd.config.load import load_profile
from deepd.config.problem import Problem
from deepd.config.settings import Settings
from deepd.errors import ProfileError
from deepd.model.profile import Profile

IMAGE = 'image = "python:3.12-slim"\n'


def settings_for(folder: Path) -> Settings:
    """Return settings whose folders are beside the profile."""
    return Settings(state_dir=folder / "state", runtime_dir=folder / "run")


def write(folder: Path, text: str | bytes, name: str = "strict.toml") -> Path:
    """Write a profile as it must be: this user's alone."""
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(0o644)
    return file


def load(folder: Path, text: str | bytes, name: str = "strict.toml") -> Profile:
    """Return the profile that a text says."""
    return load_profile(write(folder, text, name), settings_for(folder))


def problems(folder: Path, text: str | bytes, name: str = "strict.toml") -> list[Problem]:
    """Return what is wrong with a text, which must be something."""
    with pytest.raises(ProfileError) as caught:
        load(folder, text, name)
    assert caught.value.problems
    return [problem for problem in caught.value.problems if isinstance(problem, Problem)]


def said(folder: Path, text: str | bytes) -> list[str]:
    """Return `line:column message | hint` for each problem."""
    return [
        f"{found.position.line}:{found.position.column} {found.message}"
        + (f" | {found.hint}" if found.hint else "")
        for found in problems(folder, text)
    ]
