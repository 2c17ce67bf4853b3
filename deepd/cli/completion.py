"""`deepd completion SHELL`: a script made from the parsers of all commands."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from deepd.cli import verbs
from deepd.cli.parser import Parser, add_verb

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

SHELLS = ("bash", "zsh", "fish")

SOURCES = {
    "SESSION": "deepd ps -q",
    "APPROVAL": "deepd approvals -q",
    "CALL": "deepd approvals -q",
    "GRANT": "deepd grants -q",
}
"""Which command lists what may stand in an argument's place."""


class Option(NamedTuple):
    """One option of a verb: all its spellings."""

    flags: tuple[str, ...]
    text: str
    takes_value: bool


class Verb(NamedTuple):
    """What a shell has to know of a verb."""

    name: str
    text: str
    options: tuple[Option, ...]
    choices: tuple[str, ...]
    """Fixed words for its argument."""
    source: str
    """A command that lists words for its argument; empty where files fit."""


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "completion",
        description='For bash: `eval "$(deepd completion bash)"` in ~/.bashrc.',
    )
    parser.add_argument("shell", choices=SHELLS)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from deepd.cli import completion_scripts  # noqa: PLC0415 - importing all verbs needs no speed

    render = getattr(completion_scripts, f"render_{args.shell}")
    print(render(shapes()))
    return 0


def shapes() -> list[Verb]:
    """Return what there is to complete, read from the parsers themselves."""
    from deepd.cli.main import parser_of  # noqa: PLC0415 - it imports this module's neighbours

    modules = [import_module(verbs.module_of(verb)) for verb in verbs.SUMMARIES]
    parser = parser_of(modules)
    return [_shape(name, chosen) for name, chosen in parser.verbs().items()]


def _shape(name: str, parser: Parser) -> Verb:
    actions = parser.arguments()
    options = tuple(
        Option(tuple(action.option_strings), action.help or "", action.nargs != 0)
        for action in actions
        if action.option_strings
    )
    places = [action for action in actions if not action.option_strings]
    first = places[0] if places else None
    return Verb(
        name,
        verbs.SUMMARIES[name],
        options,
        choices=tuple(first.choices or ()) if first else (),
        source=next(
            (SOURCES[str(place.metavar)] for place in places if str(place.metavar) in SOURCES), ""
        ),
    )
