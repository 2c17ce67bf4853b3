"""`deepd approve`: shows a held call and lets exactly that run, or what it was edited to."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from deepd.cli.approval_text import render_approval, render_args
from deepd.cli.approvals import SHORT
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
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask after an edit")


def run(args: Namespace) -> int:
    """Show, decide, say so."""
    if args.edit and len(args.ids) > 1:
        refuse("approve", "--edit takes one id")
    client = connect(args, timeout=30)
    return max(_approve(client, approval_id, args) for approval_id in args.ids)


def _approve(client: Client, approval_id: str, args: Namespace) -> int:
    approval = client.approval(approval_id)
    print(render_approval(approval), flush=True)
    edited = _edited(approval, ask=not args.yes) if args.edit else None
    if args.edit and edited is None:
        say("nothing was decided; the call is still held")
        return FAILED
    client.decide(approval["id"], approve=True, fingerprint=approval["fingerprint"], args=edited)
    how = "approved as edited" if edited is not None else "approved"
    print(f"{paint(how, 'green')}  {approval['id'][:SHORT]}")
    return 0


def _edited(approval: dict[str, Any], *, ask: bool) -> dict[str, Any] | None:
    """Return other arguments, or nothing when the person thought better of it."""
    from deepd.cli.edit_args import edit_args  # noqa: PLC0415 - most approvals are not edited

    edited = edit_args(approval["args"])
    if edited is None:
        return None
    print("edited to:\n" + "\n".join(render_args(approval["tool"], edited)) + "\n", flush=True)
    if ask and sys.stdin.isatty():
        sys.stderr.write("Let this run? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            return None
    return edited
