"""The argument parser, as every command uses it: exit code 64 for wrong usage, no abbreviations."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from deepd.cli.verbs import SUMMARIES

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction["Parser"]  # noqa: SLF001 - argparse gives it no other name

USAGE = 64

# argparse has each of its texts translated, and the first one loads `locale` to find out that there
# is nothing to translate: a twentieth of what a short command takes.
argparse._ = str  # type: ignore[attr-defined]


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Asks for the terminal's width by itself: argparse loads shutil and its archives for that."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_width())


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 20:
        return int(columns) - 2
    try:
        return max(os.get_terminal_size(1).columns, 40) - 2
    except OSError:
        return 98


class Parser(argparse.ArgumentParser):
    """Prints errors as the rest of the command line does."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", Formatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments and how they go."""
        usage = self.format_usage().strip()
        sys.stderr.write(f"error: {message}\n{usage}\nnext: {self.prog} --help\n")
        sys.exit(USAGE)

    def arguments(self) -> list[argparse.Action]:
        """Return all options and arguments, for what is made from the parser itself."""
        return list(self._actions)

    def verbs(self) -> dict[str, Parser]:
        """Return the parsers of the verbs in it by name."""
        choices = next((action.choices for action in self._actions if action.dest == "verb"), None)
        return choices if isinstance(choices, dict) else {}


def refuse(verb: str, message: str) -> NoReturn:
    """End with a usage error that the parser cannot see by itself."""
    sys.stderr.write(f"error: {message}\nnext: deepd {verb} --help\n")
    sys.exit(USAGE)


def duration(text: str) -> float:
    """Return the seconds of an option such as `90`, `1.5`, `2m`, `1h30m`."""
    from deepd.model.duration import parse_duration  # noqa: PLC0415 - few options are times

    try:
        return float(text) if text.replace(".", "", 1).isdecimal() else parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_verb(subparsers: Subparsers, verb: str, **options: Any) -> Parser:
    """Add the parser of a verb; its first line of help is the one of the table."""
    summary = SUMMARIES[verb]
    more = options.pop("description", "")
    description = summary[0].upper() + summary[1:] + "."
    return subparsers.add_parser(
        verb, description=f"{description} {more}".strip(), help=summary, **options
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`: the API's own answer, for programs."""
    parser.add_argument("--json", action="store_true", help="print JSON, as the socket answers")


def add_quiet(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `-q`: one name or id a line and nothing else."""
    parser.add_argument("-q", "--quiet", action="store_true", help=f"print only {what}")
