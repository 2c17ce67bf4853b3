"""`deepd inspect`: all that the daemon knows of a session, a call or a profile, as JSON."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deepd.cli.connect import connect
from deepd.cli.parser import add_json, add_verb
from deepd.cli.show import print_json
from deepd.errors import BadRequestError, NotFoundError

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.client.sync import Client

_KINDS = ("session", "call", "profile")


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers, "inspect", description="One name prints one object, several a list."
    )
    parser.add_argument("names", nargs="+", metavar="SESSION", help="or a call's id, or a profile")
    parser.add_argument("--type", choices=_KINDS, help="when a name may mean several things")
    add_json(parser)


def run(args: Namespace) -> int:
    """Print it."""
    client = connect(args)
    found = [_look_up(client, name, [args.type] if args.type else _KINDS) for name in args.names]
    print_json(found[0] if len(found) == 1 else found)
    return 0


def _look_up(client: Client, name: str, kinds: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """Return the first that has the name; one that cannot be such a name is not one."""
    asked: dict[str, Callable[[str], dict[str, Any]]] = {
        "session": client.session,
        "call": client.call,
        "profile": client.profile,
    }
    for kind in kinds:
        try:
            return asked[kind](name)
        except (NotFoundError, BadRequestError):
            continue
    raise NotFoundError(f"no {' or '.join(kinds)} {name}", next_step="deepd ps, deepd status")
