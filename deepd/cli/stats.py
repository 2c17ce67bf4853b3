"""`deepd stats`: what sessions use, once or again and again."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from deepd.cli.connect import connect
from deepd.cli.measure import measure
from deepd.cli.parser import add_json, add_verb
from deepd.cli.show import print_json, print_table
from deepd.errors import NotFoundError
from deepd.model.duration import render_size

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.client.sync import Client

_HEADER = ("NAME", "CPU", "MEM", "LIMIT", "MEM %", "PIDS")
_WITHIN = 10.0


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "stats")
    parser.add_argument("sessions", nargs="*", metavar="SESSION", help="all, when none is named")
    parser.add_argument("-f", "--follow", action="store_true", help="measure again every 2 s")
    add_json(parser)


def run(args: Namespace) -> int:
    """Measure and print."""
    client = connect(args)
    while True:
        stats = measure(client, _chosen(client, args.sessions), within=_WITHIN)
        if args.follow and sys.stdout.isatty() and not args.json:
            sys.stdout.write("\x1b[H\x1b[2J")
        if args.json:
            print_json({"stats": stats})
        else:
            print_table(_HEADER, map(_row, sorted(stats.items())), right=_HEADER[1:])
        if not args.follow:
            return 0
        sys.stdout.flush()
        time.sleep(2)


def _chosen(client: Client, names: list[str]) -> list[dict[str, Any]]:
    sessions = client.sessions()
    unknown = set(names) - {session["name"] for session in sessions}
    if unknown:
        raise NotFoundError(f"no session {sorted(unknown)[0]}", next_step="deepd ps")
    return [session for session in sessions if not names or session["name"] in names]


def _row(item: tuple[str, dict[str, Any]]) -> tuple[str, ...]:
    name, used = item
    limit = used["memory_limit"]
    return (
        name,
        f"{used['cpu'] * 100:.1f}%",
        render_size(used["memory"]),
        render_size(limit) if limit else "-",
        f"{used['memory'] / limit * 100:.1f}%" if limit else "-",
        str(used["pids"]),
    )
