"""`deepd approvals`: the calls that are held, and the line of the profile that holds each."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from deepd.cli.command_line import command_of
from deepd.cli.connect import connect, print_document, print_line
from deepd.cli.follow import end_on_interrupt, follow_events
from deepd.cli.parser import add_json, add_quiet, add_verb
from deepd.cli.show import cut, print_table
from deepd.model.duration import render_age

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.client.sync import Client

SHORT = 12
"""Digits of an id that are shown: enough to name it."""

_RULE = 48
"""Columns that a rule may take; `deepd approve` shows all of it."""
_HEADER = ("ID", "SESSION", "TOOL", "CLIENT", "LEFT", "RULE", "WHAT")
_STATES = ("pending", "approved", "denied", "expired", "cancelled", "all")
_KINDS = frozenset({"approval_asked", "approval_decided"})


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "approvals", description="`deepd approve ID` shows all of one.")
    parser.add_argument("--state", choices=_STATES, default="pending")
    parser.add_argument("--watch", action="store_true", help="go on, as calls come and go")
    add_json(parser)
    add_quiet(parser, "ids")


def run(args: Namespace) -> int:
    """Print what is held now, and with `--watch` whatever changes."""
    client = connect(args, timeout=None if args.watch else 10)
    if args.watch:
        end_on_interrupt()
        return _watch(client, args)
    if args.json:
        return print_document(client, f"/v1/approvals?state={args.state}")
    _show(client.approvals(args.state), args)
    return 0


def _watch(client: Client, args: Namespace) -> int:
    """In a terminal the list is drawn again; else each change is a line."""
    live = sys.stdout.isatty() and not args.json and not args.quiet
    shown: set[str] = set()

    def look() -> None:
        approvals = client.approvals(args.state)
        if live:
            sys.stdout.write("\x1b[H\x1b[2J")
            _show(approvals, args)
        else:
            new = [approval for approval in approvals if approval["id"] not in shown]
            shown.update(approval["id"] for approval in new)
            for approval in new:
                _print_one(approval, args)
        sys.stdout.flush()

    follow_events(client, _KINDS, look)
    return 0


def _print_one(approval: dict[str, Any], args: Namespace) -> None:
    if args.json:
        print_line(approval)
    elif args.quiet:
        print(approval["id"])
    else:
        print_table(_HEADER, [row(approval, time.time())], titles=False)


def _show(approvals: list[dict[str, Any]], args: Namespace) -> None:
    if args.quiet:
        print("".join(f"{approval['id']}\n" for approval in approvals), end="")
    else:
        now = time.time()
        print_table(_HEADER, [row(approval, now) for approval in approvals], right=("LEFT",))


def row(approval: dict[str, Any], now: float) -> tuple[str, ...]:
    """Return the cells of one approval."""
    if approval["state"] != "pending":
        left = approval["state"]
    elif approval["deadline"] is None:
        left = "-"
    else:
        left = render_age(max(0.0, approval["deadline"] - now))
    return (
        approval["id"][:SHORT],
        approval["session"],
        approval["tool"],
        approval["client"] or "-",
        left,
        _short(approval["rule"]) or "-",
        command_of(approval),
    )


def _short(rule: str) -> str:
    """Return a rule with its file's name alone: `strict.toml:22:9: ask = …`."""
    place, colon, text = rule.partition(": ")
    return cut(f"{place.rsplit('/', 1)[-1]}{colon}{text}", _RULE)
