"""Profiles' files to profiles: found, read, checked, and every problem told at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from deepd.config import paths
from deepd.config.assembly import read_profile
from deepd.config.document import parse_document
from deepd.config.policy import failed_tests
from deepd.config.problem import Problem, as_error, file_problem
from deepd.config.rules import check_rules
from deepd.config.settings import Settings
from deepd.config.shape import ProfileFile
from deepd.config.source import read_source
from deepd.config.validation import validate
from deepd.model.profile import Profile

MAX_PROBLEMS = 100
"""Of one file; nobody reads more before mending some."""


def find_profiles(given: Sequence[Path]) -> list[Path]:
    """Return the files that are profiles: those given, and those in the folders given.

    With none given, those of the user's config folder. A file that is named is taken as it is;
    one that is only found must look like a profile that somebody has finished writing.
    """
    folders = given or [folder for folder in (paths.config_dir(),) if folder.is_dir()]
    found: dict[Path, None] = {}
    for path in folders:
        if path.is_dir():
            found |= dict.fromkeys(sorted(file for file in path.iterdir() if is_profile(file)))
        else:
            found[path] = None
    return list(found)


def is_profile(file: Path) -> bool:
    """Return whether a file in a folder is a profile, and nothing of an editor's or of deepd's."""
    name = file.name
    return (
        file.suffix == ".toml"
        and not name.startswith((".", "#"))
        and name != paths.SETTINGS_FILE
        and not file.is_dir()
    )


def load_profile(path: Path, settings: Settings) -> Profile:
    """Return the profile in a file, or raise `ProfileError` with all its problems."""
    source = read_source(path)
    document = source if isinstance(source, Problem) else parse_document(source)
    if isinstance(document, Problem):
        raise as_error([document])
    shape, problems = validate(ProfileFile, document)
    if shape is not None:
        problems += check_rules(shape, document)
        profile, more = read_profile(path, shape, document, settings)
        problems += more
        if not problems:
            problems += failed_tests(profile, document)
        if not problems:
            return profile
    raise as_error(sorted(problems, key=_order)[:MAX_PROBLEMS])


def name_problems(profile: Profile, others: Iterable[Profile]) -> tuple[Problem, ...]:
    """Return the problems of a profile that has the name of another one."""
    return tuple(
        file_problem(
            profile.file,
            f"the profile {profile.name!r} is also in {other.file}",
            'give one of them another name = "…"',
        )
        for other in others
        if other.name == profile.name
    )


def _order(problem: Problem) -> tuple[int, int]:
    return problem.position.line, problem.position.column
