"""`deepd logs`: what a session printed and what happened to it."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deepd.cli.clock import clock
from deepd.cli.connect import connect, print_line
from deepd.cli.follow import end_on_interrupt
from deepd.cli.parser import add_json, add_verb, duration
from deepd.cli.show import paint
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

_LIMIT = 100_000


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "logs")
    parser.add_argument("session", metavar="SESSION")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as lines come")
    parser.add_argument("--search", default="", metavar="TEXT", help="only lines that have it")
    parser.add_argument("--since", type=duration, metavar="TIME", help="only the last 90s, 15m, …")
    parser.add_argument("-n", "--tail", type=int, metavar="N", help="at most so many old lines")
    parser.add_argument("-t", "--timestamps", action="store_true", help="say when")
    add_json(parser)


def run(args: Namespace) -> int:
    """Print one line each."""
    client = connect(args, timeout=None if args.follow else 60)
    if args.follow:
        end_on_interrupt()
    lines = client.logs(
        args.session, follow=args.follow, search=args.search, limit=args.tail or _LIMIT
    )
    since = time.time() - args.since if args.since is not None else 0.0
    for line in _recent(lines, since):
        if args.json:
            print_line(line)
        else:
            print(render(line, times=args.timestamps), flush=args.follow)
    return 0


def _recent(lines: Iterator[dict[str, Any]], since: float) -> Iterator[dict[str, Any]]:
    return (line for line in lines if line["at"] >= since)


def render(line: dict[str, Any], *, times: bool) -> str:
    """Return a line as text: what was printed as it is, what happened marked as such.

    In a terminal nothing that was printed can act on it.
    """
    start = f"{paint(clock(line['at']), 'dim')}  " if times else ""
    text = str(line["text"])
    if line["kind"] == "output":
        return start + (visible(text) if sys.stdout.isatty() else text)
    return start + paint(visible(f"-- {line['kind']} {text}".rstrip(), one_line=True), "dim")
