"""`deepd rm`: the end of sessions and their containers; workspaces stay unless told otherwise."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from deepd.cli.connect import connect
from deepd.cli.failure import report
from deepd.cli.parser import add_verb
from deepd.errors import DeepdError

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers, "rm", description="A session that a profile names comes back by itself."
    )
    parser.add_argument("sessions", nargs="+", metavar="SESSION")
    parser.add_argument("--purge", action="store_true", help="delete their workspaces too")


def run(args: Namespace) -> int:
    """Remove each; print the names of those that are gone, exit with the first failure."""
    client = connect(args, timeout=60)
    worst = 0
    for name in args.sessions:
        try:
            client.close_session(name, purge=args.purge)
            print(name, flush=True)
        except DeepdError as error:
            worst = worst or report(error)
    return worst
