"""The command `deepd`: finds the verb, imports its module and nothing else, and runs it."""

from __future__ import annotations

import gc
import os
import sys
from argparse import SUPPRESS, Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from types import ModuleType

from deepd import __version__
from deepd.cli import failure, verbs
from deepd.cli.entry import entry, guarded
from deepd.cli.parser import USAGE, Parser

__all__ = ["entry", "main", "parser_of", "top_parser"]
"""`entry` is where the scripts of older installations look for it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return guarded(lambda: _dispatch(list(sys.argv[1:] if argv is None else argv)))


def parse(module: ModuleType, argv: Sequence[str]) -> Namespace:
    """Return the arguments of a verb's module.

    A module with `TAKES_COMMAND` gets what follows the first `--` untouched as `args.words`.
    What it opens it may leave to `args.closing`.
    """
    own, words = list(argv), []
    if getattr(module, "TAKES_COMMAND", False) and "--" in own:
        at = own.index("--")
        own, words = own[:at], own[at + 1 :]
    parser = parser_of([module])
    args, unknown = parser.parse_known_args(own)
    if unknown:
        hint = "; put `--` before the command" if hasattr(module, "TAKES_COMMAND") else ""
        parser.verbs()[args.verb].error(f"unknown: {' '.join(unknown)}{hint}")
    args.words = words
    args.closing = ExitStack()
    return args


def parser_of(modules: Sequence[ModuleType]) -> Parser:
    """Return the whole parser with these modules' verbs in it."""
    parser = top_parser()
    subparsers = parser.add_subparsers(dest="verb", prog="deepd", parser_class=Parser)
    for module in modules:
        module.add(subparsers)
    for chosen in subparsers.choices.values():
        chosen.add_argument(
            "--socket", metavar="PATH", default=SUPPRESS, help="the daemon's socket"
        )
    return parser


def top_parser() -> Parser:
    """Return the parser of what may stand before the verb."""
    parser = Parser(prog="deepd", usage="deepd [--socket PATH] COMMAND …", epilog=_table())
    parser.add_argument(
        "--socket",
        metavar="PATH",
        default=os.environ.get("DEEPD_SOCKET") or None,
        help="the daemon's socket, when it is not the usual one",
    )
    parser.add_argument("--version", action="version", version=f"deepd {__version__}")
    return parser


def _dispatch(argv: list[str]) -> int:
    verb = _find_verb(argv)
    if verb is None:
        parser = top_parser()
        parser.parse_args(argv)
        parser.print_help()
        return failure.OK
    if verb not in verbs.SUMMARIES:
        return _refuse(verb)
    module = import_module(verbs.module_of(verb))
    args = parse(module, argv)
    gc.enable()
    with args.closing:
        return int(module.run(args))


def _find_verb(argv: Sequence[str]) -> str | None:
    """Return the first word that is no option and no option's value."""
    words = iter(argv)
    for word in words:
        if word == "--socket":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def _refuse(verb: str) -> int:
    meant = verbs.nearest(verb)
    hint = f", did you mean `{meant}`?" if meant else ""
    failure.say(f"error: no such command `{verb}`{hint}\nnext: deepd --help")
    return USAGE


def _table() -> str:
    blocks = (
        "\n".join([f"{title}:", *(f"  {verb:<12}{text}" for verb, text in group.items())])
        for title, group in verbs.GROUPS.items()
    )
    return "\n\n".join(blocks) + "\n\n`deepd COMMAND --help` says more."
