"""`deepd deny`: a held call does not run, and its caller is told why."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from deepd.cli.approvals import SHORT
from deepd.cli.command_line import command_of
from deepd.cli.connect import connect
from deepd.cli.parser import add_verb
from deepd.cli.show import paint
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "deny")
    parser.add_argument("ids", nargs="+", metavar="APPROVAL", help="its id, or a unique beginning")
    parser.add_argument(
        "-m", "--message", default="", metavar="REASON", help="what the caller is told"
    )
    parser.add_argument("--stop", action="store_true", help="end the caller's other open calls too")


def run(args: Namespace) -> int:
    """Decide, and say what did not run."""
    client = connect(args, timeout=30)
    reason = args.message or "denied by a human"
    for approval_id in args.ids:
        approval = client.approval(approval_id)
        client.decide(
            approval["id"],
            approve=False,
            fingerprint=approval["fingerprint"],
            reason=reason,
            stop=args.stop,
        )
        what = visible(command_of(approval), one_line=True)
        print(f"{paint('denied', 'red')}  {approval['id'][:SHORT]}  {what}")
    return 0
