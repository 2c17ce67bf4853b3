"""`deepd check`: all that is wrong with profiles, at once and each in its place."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepd.cli.failure import EXIT_CODES, OK, say
from deepd.cli.parser import add_json, add_verb
from deepd.cli.show import has_colour, print_json
from deepd.errors import NotFoundError, ProfileError
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.model.profile import Profile


@dataclass(frozen=True, slots=True)
class _Checked:
    """One file and what came of it."""

    file: Path
    profile: Profile | None
    problems: tuple[Any, ...] = ()
    warnings: tuple[str, ...] = ()


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers, "check", description="Exit code 78 when there is an error; warnings are none."
    )
    parser.add_argument(
        "files",
        metavar="FILE",
        type=Path,
        nargs="*",
        help="profiles and folders of profiles (default: those of your config folder)",
    )
    add_json(parser)


def run(args: Namespace) -> int:
    """Check every file, print what was found, and return 78 when one cannot be used."""
    from deepd.config.load import find_profiles  # noqa: PLC0415 - it needs pydantic

    files = find_profiles(args.files)
    if not files:
        raise NotFoundError(
            "there is no profile to check", next_step="make one with `deepd init`, or name a file"
        )
    checked = _check(files)
    if args.json:
        print_json({"profiles": [_as_dict(one) for one in checked]})
    else:
        _show(checked)
    return EXIT_CODES["bad-profile"] if any(one.problems for one in checked) else OK


def _check(files: Sequence[Path]) -> list[_Checked]:
    from deepd.config.advice import warnings  # noqa: PLC0415 - it needs pydantic
    from deepd.config.load import load_profile, name_problems  # noqa: PLC0415 - the same
    from deepd.config.settings import load_settings  # noqa: PLC0415 - the same

    settings = load_settings()
    checked: list[_Checked] = []
    for file in files:
        try:
            profile = load_profile(file, settings)
        except ProfileError as error:
            checked.append(_Checked(file, None, error.problems))
        else:
            others = [one.profile for one in checked if one.profile]
            problems = name_problems(profile, others)
            checked.append(_Checked(file, profile, problems, warnings(profile, os.environ)))
    return checked


def _show(checked: Sequence[_Checked]) -> None:
    from deepd.config.problem import file_problem, render  # noqa: PLC0415 - late, as the rest

    colour = has_colour(sys.stderr)
    blocks = [
        *(render(problem, colour) for one in checked for problem in one.problems),
        *(
            render(file_problem(one.file, warning), colour, severity="warning")
            for one in checked
            for warning in one.warnings
        ),
    ]
    if blocks:
        say("\n\n".join(blocks) + "\n")
    for one in checked:
        count = len(one.problems)
        name = f"{one.profile.name} ({one.file})" if one.profile else str(one.file)
        result = f"{count} error{'s' if count > 1 else ''}" if count else "ok"
        print(f"{visible(name, one_line=True)}: {result}")


def _as_dict(one: _Checked) -> dict[str, Any]:
    from deepd.config.problem import as_dict  # noqa: PLC0415 - only for --json

    return {
        "file": str(one.file),
        "name": one.profile.name if one.profile else None,
        "revision": one.profile.revision() if one.profile else None,
        "ok": not one.problems,
        "problems": [as_dict(problem) for problem in one.problems],
        "warnings": list(one.warnings),
    }
