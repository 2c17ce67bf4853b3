"""Problems of profiles with line and caret, from the wire or from this process."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from deepd.cli.show import has_colour

if TYPE_CHECKING:
    from deepd.config.problem import Problem


def render_problems(problems: Sequence[object], stream: TextIO | None = None) -> str:
    """Return all problems as `deepd check` prints them, a blank line between two."""
    from deepd.config.problem import render  # noqa: PLC0415 - only a broken profile needs it

    colour = has_colour(stream or sys.stderr)
    return "\n\n".join(render(_problem(problem), colour) for problem in problems)


def _problem(problem: object) -> Problem:
    from deepd.config.problem import Problem  # noqa: PLC0415 - the same
    from deepd.model.profile import Position  # noqa: PLC0415 - the same

    if isinstance(problem, Problem):
        return problem
    fields: Mapping[str, Any] = problem if isinstance(problem, Mapping) else {"message": problem}
    place = fields.get("position") or fields
    return Problem(
        position=Position(
            str(place.get("file", "")), int(place.get("line", 1)), int(place.get("column", 1))
        ),
        message=str(fields.get("message", "")),
        source=str(fields.get("source", "")),
        length=int(fields.get("length", 0)),
        hint=str(fields.get("hint", "")),
    )
