"""`deepd grants`: what is remembered of approvals, and its end."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from deepd.cli.approvals import SHORT
from deepd.cli.command_line import command_of
from deepd.cli.connect import connect
from deepd.cli.failure import report
from deepd.cli.parser import add_json, add_quiet, add_verb, refuse
from deepd.cli.show import paint, print_json, print_table
from deepd.errors import DeepdError
from deepd.model.duration import render_age
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.client.sync import Client

_HEADER = ("ID", "SCOPE", "SESSION", "PROFILE", "TOOL", "LEFT", "ENDS", "BY", "WHAT")


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "grants",
        usage="deepd grants [revoke GRANT... | revoke --all] [--session SESSION]",
        description="A grant lets exactly the call pass that was approved; a rule can deny it.",
    )
    parser.add_argument("action", nargs="?", choices=("list", "revoke"), default="list")
    parser.add_argument("ids", nargs="*", metavar="GRANT", help="an id, or a unique beginning")
    parser.add_argument("-s", "--session", default="", help="only those given in a session")
    parser.add_argument("-a", "--all", action="store_true", help="list ended ones; or revoke all")
    add_json(parser)
    add_quiet(parser, "ids")


def run(args: Namespace) -> int:
    """List, or revoke."""
    client = connect(args)
    if args.action == "revoke":
        return _revoke(client, args)
    if args.ids:
        refuse("grants", f"to end one: deepd grants revoke {args.ids[0]}")
    found = client.grants(args.session, ended=args.all)
    if args.json:
        print_json({"grants": found})
    elif args.quiet:
        print("".join(f"{grant['id']}\n" for grant in found), end="")
    else:
        now = time.time()
        print_table(_HEADER, [_row(grant, now) for grant in found], right=("LEFT",))
    return 0


def _revoke(client: Client, args: Namespace) -> int:
    if bool(args.ids) == args.all:
        refuse("grants", "name the grants to revoke, or --all")
    if args.all:
        _say_revoked(client.revoke_grants(args.session), args)
        return 0
    worst = 0
    for grant_id in args.ids:
        try:
            _say_revoked([client.revoke_grant(grant_id)], args)
        except DeepdError as error:
            worst = worst or report(error)
    return worst


def _say_revoked(grants: list[dict[str, Any]], args: Namespace) -> None:
    if args.json:
        print_json({"grants": grants})
        return
    for grant in grants:
        what = visible(command_of(grant), one_line=True)
        shown = grant["id"] if args.quiet else f"{grant['id'][:SHORT]}  {what}"
        print(shown if args.quiet else f"{paint('revoked', 'red')}  {shown}")


def _row(grant: dict[str, Any], now: float) -> tuple[str, ...]:
    left = "any" if grant["left"] is None else str(grant["left"])
    if grant["ended_at"] is not None:
        ends = f"ended by {grant['ended_by']}"
    elif grant["until"] is None:
        ends = "-"
    else:
        ends = f"in {render_age(max(0.0, grant['until'] - now))}"
    return (
        grant["id"][:SHORT],
        grant["scope"],
        grant["session"],
        grant["profile"],
        grant["tool"],
        left,
        ends,
        grant["granted_by"],
        command_of(grant),
    )
