"""`deepd shell`: a terminal in a session."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from deepd.cli.connect import connect
from deepd.cli.exec import add_call_options, call_options
from deepd.cli.parser import add_verb, refuse

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

TAKES_COMMAND = True

_SHELL = 'exec "$(command -v bash || echo sh)" -i'


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "shell",
        usage="deepd shell [OPTIONS] SESSION [-- COMMAND…]",
        description="Ctrl-P Ctrl-Q leaves it running. Without a command it is bash, or sh.",
    )
    parser.add_argument("session", metavar="SESSION")
    add_call_options(parser)


def run(args: Namespace) -> int:
    """Attach until the shell ends."""
    if not sys.stdin.isatty():
        refuse("shell", "there is no terminal here; use `deepd exec -i`")
    from deepd.cli.terminal import run_in_terminal  # noqa: PLC0415 - refuse before loading it

    options = call_options(args)
    options["env"] = {"TERM": "xterm-256color", **options["env"]}
    client = connect(args, timeout=None)
    return run_in_terminal(client, args.session, args.words or _SHELL, options, stdin=True)
