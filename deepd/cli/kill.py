"""`deepd kill`: the end of one call, or of all open calls of a session."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from deepd.cli.connect import connect
from deepd.cli.parser import add_verb
from deepd.errors import NotFoundError

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.client.sync import Client


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "kill", description="Whatever it started ends too.")
    parser.add_argument("targets", nargs="+", metavar="SESSION", help="a session, or a call's id")
    parser.add_argument("-m", "--message", default="", metavar="REASON", help="why, for its caller")


def run(args: Namespace) -> int:
    """Cancel and print the ids of the calls that were ended."""
    client = connect(args, timeout=60)
    names = {session["name"] for session in client.sessions()}
    for target in args.targets:
        for call_id in _calls(client, target, names):
            client.cancel(call_id, args.message)
            print(call_id, flush=True)
    return 0


def _calls(client: Client, target: str, names: set[str]) -> list[str]:
    if target in names:
        return [call["id"] for call in client.calls(target, open_only=True, limit=1000)]
    try:
        return [client.call(target)["id"]]
    except NotFoundError:
        raise NotFoundError(
            f"no session and no call {target}", next_step="deepd ps, deepd approvals"
        ) from None
