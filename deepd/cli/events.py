"""`deepd events`: what happened, in order, and what happens."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deepd.cli.clock import clock
from deepd.cli.connect import connect, print_line
from deepd.cli.follow import end_on_interrupt, follow
from deepd.cli.parser import add_json, add_verb
from deepd.cli.show import paint
from deepd.model.event import told
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "events")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as things happen")
    parser.add_argument("--after", type=int, metavar="N", help="only those with a greater number")
    parser.add_argument("--session", default="", metavar="NAME", help="only those of one session")
    add_json(parser)


def run(args: Namespace) -> int:
    """Print one line an event."""
    client = connect(args, timeout=None if args.follow else 30)
    events: Iterator[dict[str, Any]]
    if args.follow:
        end_on_interrupt()
        events = follow(client, args.after, session=args.session)
    else:
        events = client.events(args.after, session=args.session)
    for event in events:
        if args.json:
            print_line(event)
        else:
            print(render(event), flush=True)
    return 0


def render(event: dict[str, Any]) -> str:
    """Return an event as a line for people."""
    if event["kind"] == "dropped":
        return paint("-- some events were left out: this reader was too slow", "yellow")
    call = str(event.get("call") or "")[:12]
    parts = [str(event.get("session") or ""), call, told(event.get("data") or {})]
    text = "  ".join(visible(part, one_line=True) for part in parts if part)
    kind = visible(str(event["kind"]), one_line=True)
    return f"{paint(clock(event['at']), 'dim')}  {event['id']:>6}  {kind:<16}  {text}"
