"""`deepd approve`: shows a held call and lets exactly that run, or what it was edited to."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

from deepd.cli.approval_text import render_approval, render_args
from deepd.cli.approvals import SHORT
from deepd.cli.clock import moment
from deepd.cli.connect import connect
from deepd.cli.failure import FAILED, say
from deepd.cli.parser import add_verb, refuse
from deepd.cli.show import paint

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.client.sync import Client


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "approve",
        description="What is printed is what runs: if it changed in between, nothing is approved.",
    )
    parser.add_argument("ids", nargs="+", metavar="APPROVAL", help="its id, or a unique beginning")
    parser.add_argument("--edit", action="store_true", help="change it in $EDITOR first")
    parser.add_argument(
        "--for",
        dest="scope",
        choices=("session", "profile"),
        help="remember it: the same call is not asked again, as far as approvals.remember allows",
    )
    parser.add_argument(
        "--count", type=_count, metavar="N", help="with --for: let N further calls pass"
    )
    parser.add_argument(
        "--until",
        type=moment,
        metavar="TIME",
        help="with --for: `2h`, `18:00`, or `2030-01-31T18:00`",
    )
    parser.add_argument(
        "-y", "--yes", action="store_true", help="do not ask after an edit, or before remembering"
    )


def run(args: Namespace) -> int:
    """Show, decide, say so."""
    if args.edit and len(args.ids) > 1:
        refuse("approve", "--edit takes one id")
    if args.scope is None and (args.count is not None or args.until is not None):
        refuse("approve", "--count and --until go with --for")
    client = connect(args, timeout=30)
    return max(_approve(client, approval_id, args) for approval_id in args.ids)


def _approve(client: Client, approval_id: str, args: Namespace) -> int:
    approval = client.approval(approval_id)
    print(render_approval(approval), flush=True)
    edited = _edited(approval, ask=not args.yes) if args.edit else None
    if args.edit and edited is None:
        say("nothing was decided; the call is still held")
        return FAILED
    remember = _remember(client, approval, args) if args.scope else None
    if args.scope and remember is None:
        say("nothing was decided; the call is still held")
        return FAILED
    client.decide(
        approval["id"],
        approve=True,
        fingerprint=approval["fingerprint"],
        args=edited,
        remember=remember,
    )
    how = "approved as edited" if edited is not None else "approved"
    kept = f", and remembered for the {args.scope}" if remember else ""
    print(f"{paint(how + kept, 'green')}  {approval['id'][:SHORT]}")
    return 0


def _remember(client: Client, approval: dict[str, Any], args: Namespace) -> dict[str, Any] | None:
    """Return how it shall be remembered, or nothing when the person thought better of it."""
    from deepd.cli.proposal_text import render_proposal  # noqa: PLC0415 - few are remembered

    print("\n".join(render_proposal(client.proposal(approval["id"]), args.scope)), flush=True)
    if not args.yes and not _agrees("Approve it and remember it so?"):
        return None
    limits = {"count": args.count, "until": args.until}
    return {"scope": args.scope} | {key: limits[key] for key in limits if limits[key] is not None}


def _edited(approval: dict[str, Any], *, ask: bool) -> dict[str, Any] | None:
    """Return other arguments, or nothing when the person thought better of it."""
    from deepd.cli.edit_args import edit_args  # noqa: PLC0415 - most approvals are not edited

    edited = edit_args(approval["args"])
    if edited is None:
        return None
    print("edited to:\n" + "\n".join(render_args(approval["tool"], edited)) + "\n", flush=True)
    return edited if not ask or _agrees("Let this run?") else None


def _agrees(question: str) -> bool:
    """Ask whoever sits there; where nobody does, the command itself was the answer."""
    if not sys.stdin.isatty():
        return True
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to 1000000")
    return int(text)
