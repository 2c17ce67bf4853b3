"""`deepd wait`: until calls have ended; prints what they printed."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from deepd.cli.connect import connect
from deepd.cli.outcome import finish
from deepd.cli.parser import add_json, add_verb, duration
from deepd.cli.show import print_json
from deepd.cli.stream import CallStream
from deepd.errors import CallTimeoutError

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.client.sync import Client

_AT_MOST = 3600.0
_TERMINAL = frozenset({"denied", "expired", "finished", "timed_out", "cancelled", "lost", "failed"})


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers, "wait", description="Exits as the last of them did; 6 when it took too long."
    )
    parser.add_argument("calls", nargs="+", metavar="CALL", help="its id, or a unique beginning")
    parser.add_argument("--timeout", type=duration, metavar="TIME", help="wait no longer")
    parser.add_argument("-q", "--quiet", action="store_true", help="print no output")
    add_json(parser)


def run(args: Namespace) -> int:
    """Wait for one after the other."""
    client = connect(args, timeout=None)
    code = 0
    for call_id in args.calls:
        code = _wait(client, call_id, args)
    return code


def _wait(client: Client, call_id: str, args: Namespace) -> int:
    call = client.call(call_id)
    if args.json or args.quiet or args.timeout is not None:
        call = _ended(client, call["id"], args.timeout)
        if args.json:
            print_json(call)
    if args.json or args.quiet:
        return finish(call)
    return CallStream(client, call["id"]).run(client.output(call["id"], follow=True))


def _ended(client: Client, call_id: str, timeout: float | None) -> dict[str, object]:
    call = client.call(call_id, wait=_AT_MOST if timeout is None else timeout)
    while timeout is None and call["state"] not in _TERMINAL:
        call = client.call(call_id, wait=_AT_MOST)
    if call["state"] not in _TERMINAL:
        raise CallTimeoutError(
            f"the call is still {call['state']} after {timeout:g} s",
            next_step=f"deepd wait {call_id[:12]}, or deepd kill {call_id[:12]}",
        )
    return call
