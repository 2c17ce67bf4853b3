"""`deepd prune`: sessions that are stopped, and that no profile names, go."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from typing import TYPE_CHECKING

from deepd.cli.connect import connect
from deepd.cli.parser import add_verb, duration, refuse

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.client.sync import Client


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "prune", description="Their workspaces stay without --purge.")
    parser.add_argument("-f", "--force", action="store_true", help="do not ask")
    parser.add_argument("--purge", action="store_true", help="delete their workspaces too")
    parser.add_argument(
        "--older", type=duration, default=0.0, metavar="TIME", help="only those idle for so long"
    )


def run(args: Namespace) -> int:
    """Ask, then remove; prints the names of those that went."""
    client = connect(args, timeout=60)
    names = prunable(client, args.older)
    if not names:
        print("nothing to remove")
        return 0
    if not args.force and not _agreed(names, purge=args.purge):
        return 1
    for name in names:
        client.close_session(name, purge=args.purge)
        print(name, flush=True)
    return 0


def prunable(client: Client, older: float) -> list[str]:
    """Return the sessions that would not come back and that nobody has used for so long."""
    declared = {
        name
        for state in client.profiles()
        for name in (client.profile(state["name"]).get("profile") or {}).get("sessions", ())
    }
    before = time.time() - older
    return [
        session["name"]
        for session in client.sessions()
        if session["state"] in {"stopped", "failed", "no profile"}
        and session["name"] not in declared
        and session["last_active"] <= before
    ]


def _agreed(names: list[str], *, purge: bool) -> bool:
    if not sys.stdin.isatty():
        refuse("prune", "there is nobody to ask; say --force")
    what = "and their workspaces" if purge else "(their workspaces stay)"
    sys.stderr.write(f"Remove {', '.join(names)} {what}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
