"""`deepd policy backtest`: what a changed profile would have meant for the calls that were made."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepd.cli.clock import clock
from deepd.cli.command_line import command_of
from deepd.cli.connect import connect
from deepd.cli.failure import FAILED, OK
from deepd.cli.parser import add_json, add_verb, duration
from deepd.cli.show import paint, print_json
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

_KINDS = {
    "passes": ("would now pass alone", "yellow"),
    "held": ("would now be held", "green"),
    "denied": ("would now be denied", "green"),
}
_PASTS = {
    "alone": "passed alone",
    "approved": "a person approved it",
    "refused": "a person refused it",
    "unanswered": "nobody answered",
    "denied": "a rule denied it",
}


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "policy",
        usage="deepd policy backtest PROFILE [--since 30d] [--of NAME] [--json]",
        description="Replays the stored calls against a profile's file, or one that is loaded."
        " Ends with 1 when a call that a person refused would now pass. Paths are taken for where"
        " they lead: where links led then is not stored.",
    )
    parser.add_argument("action", choices=("backtest",))
    parser.add_argument("profile", metavar="PROFILE", help="a profile's file, or its name")
    parser.add_argument(
        "--since", type=duration, default=30 * 86400.0, help="how far back, such as 30d (30d)"
    )
    parser.add_argument(
        "--of", default="", metavar="NAME", help="the profile whose calls are replayed (its own)"
    )
    add_json(parser)


def run(args: Namespace) -> int:
    """Ask, and say what would be different."""
    file = Path(args.profile)
    is_file = file.suffix == ".toml" or "/" in args.profile
    where = {"file": str(file.absolute())} if is_file else {"profile": args.profile}
    client = connect(args, timeout=600)
    found = client.backtest(since=max(0.0, time.time() - args.since), of=args.of, **where)
    if args.json:
        print_json(found)
    else:
        print("\n".join(render(found)))
    return FAILED if found["reversed_count"] else OK


def render(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines for people: the counts, each kind, and what a person had refused."""
    name = visible(found["profile"], one_line=True)
    if not found["looked_at"]:
        yield f"no calls of the profile {name} are stored; --of NAME replays those of another"
        return
    yield f"{found['looked_at']} calls of {name}: {found['same']} would go as they went"
    for kind, (text, colour) in _KINDS.items():
        if found[kind]:
            yield paint(f"{found[kind]} {text}", colour)
            some = [each for each in found["differences"] if each["change"] == kind]
            yield from map(_line, some)
            if len(some) < found[kind]:
                yield f"  … and {found[kind] - len(some)} more"
    if found["reversed_count"]:
        yield paint(f"{found['reversed_count']} that a person refused would now pass:", "red")
        yield from map(_line, found["reversed"])


def _line(difference: dict[str, Any]) -> str:
    call = difference["call"]
    what = visible(command_of(call), one_line=True)
    rule = visible(difference["rule"], one_line=True)
    past = _PASTS[call["past"]]
    return f"  {call['id'][:12]}  {clock(call['at'])}  {past}  {what}\n      {rule}"
