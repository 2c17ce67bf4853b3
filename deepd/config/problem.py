"""Problem: one thing that is wrong in a file, and how it is shown to the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deepd.errors import ProfileError
from deepd.model.profile import Position
from deepd.model.visible import visible

LINE_SHOWN = 120
"""Characters of a source line that are shown; of a longer one, those around the problem."""

_RED, _YELLOW, _BLUE = "\x1b[1;31m", "\x1b[1;33m", "\x1b[34m"
_BOLD, _RESET = "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, where, and what would be right."""

    position: Position
    message: str
    source: str = ""
    """The whole line as it is in the file; empty when the problem is the file itself."""
    length: int = 0
    """How many characters from the position on are meant; 0 when there is no line to show."""
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.position}: {self.message}{hint}"


def file_problem(file: Path | str, message: str, hint: str = "") -> Problem:
    """Return a problem with a file as a whole."""
    return Problem(Position(str(file), 1, 1), message, hint=hint)


def as_error(problems: Sequence[Problem]) -> ProfileError:
    """Return the error that carries all problems; its text is the first one."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ProfileError(
        f"{problems[0]}{more}",
        next_step="run `deepd check` on the file to see every problem in its place",
        problems=tuple(problems),
    )


def as_dict(problem: Problem) -> dict[str, Any]:
    """Return what programs are given."""
    return {
        "file": problem.position.file,
        "line": problem.position.line,
        "column": problem.position.column,
        "length": problem.length,
        "message": problem.message,
        "hint": problem.hint,
        "source": problem.source,
    }


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest known word, or nothing when none is near."""
    from difflib import get_close_matches  # noqa: PLC0415 - most files have nothing wrong in them

    near = get_close_matches(word[:80], list(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""


def render(
    problem: Problem,
    colour: bool = False,  # noqa: FBT001, FBT002 - it reads well at every call
    *,
    severity: Literal["error", "warning"] = "error",
) -> str:
    """Return the problem as `deepd check` prints it: message, place, line, caret and hint."""
    paint = _paint if colour else _plain
    hue = _RED if severity == "error" else _YELLOW
    position = problem.position
    number = str(position.line)
    margin = " " * (len(number) + 1)
    hint = visible(problem.hint, one_line=True)
    lines = [
        f"{paint(f'{severity}:', hue)} {paint(visible(problem.message, one_line=True), _BOLD)}",
        f"{margin}{paint('-->', _BLUE)} ",
    ]
    if not problem.length:
        lines[1] += visible(position.file, one_line=True)
        return "\n".join([*lines, f"{margin} {paint('=', _BLUE)} {hint}"] if hint else lines)
    lines[1] += visible(str(position), one_line=True)
    before, meant, after = _cut(problem)
    caret = " " * _width(before) + paint("^" * max(1, _width(meant)), hue)
    return "\n".join(
        [
            *lines,
            f"{margin} {paint('|', _BLUE)}",
            f"{paint(f' {number} |', _BLUE)} {before}{meant}{after}",
            f"{margin} {paint('|', _BLUE)} {caret} {hint}".rstrip(),
        ]
    )


def _paint(text: str, code: str) -> str:
    return f"{code}{text}{_RESET}"


def _plain(text: str, _code: str) -> str:
    return text


def _cut(problem: Problem) -> tuple[str, str, str]:
    """Return the shown parts of the line before, in and after what is meant."""
    start = problem.position.column - 1
    first, last = 0, len(problem.source)
    if last > LINE_SHOWN:
        first = max(0, min(start - 20, last - LINE_SHOWN))
        last = first + LINE_SHOWN
    end = min(start + problem.length, last)
    before = ("…" if first else "") + _shown(problem.source[first:start])
    after = _shown(problem.source[end:last]) + ("…" if last < len(problem.source) else "")
    return before, _shown(problem.source[start:end]), after


def _shown(text: str) -> str:
    return visible(text).replace("\t", "    ")


def _width(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    from unicodedata import category, east_asian_width  # noqa: PLC0415 - the same

    return sum(
        0 if category(char)[0] == "M" else 2 if east_asian_width(char) in "WF" else 1
        for char in text
    )
