"""`deepd exec`: a command in a session, as if it ran here."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from deepd.cli.connect import connect
from deepd.cli.parser import add_verb, duration, refuse
from deepd.cli.stream import CallStream

if TYPE_CHECKING:
    from deepd.cli.parser import Parser, Subparsers

TAKES_COMMAND = True


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "exec",
        usage="deepd exec [OPTIONS] SESSION -- COMMAND…\n"
        "       deepd exec [OPTIONS] SESSION -c 'SHELL TEXT'",
        description="Exits as the command does; 6 timed out, 7 denied.",
    )
    parser.add_argument("session", metavar="SESSION")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="after `--`")
    parser.add_argument("-c", dest="text", metavar="TEXT", help="shell text instead of COMMAND")
    parser.add_argument("-i", "--interactive", action="store_true", help="pass our stdin on")
    parser.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    parser.add_argument("-d", "--detach", action="store_true", help="print the call's id and leave")
    add_call_options(parser)


def add_call_options(parser: Parser) -> None:
    """Add what `exec` and `shell` share."""
    parser.add_argument(
        "-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="may be repeated"
    )
    parser.add_argument("-w", "--workdir", default="", metavar="DIR", help="where it starts")
    parser.add_argument("--timeout", type=duration, metavar="TIME", help="such as 90, 2m, 1h30m")
    parser.add_argument("--profile", metavar="NAME", help="open the session with this profile")


def call_options(args: Namespace) -> dict[str, Any]:
    """Return those options as the client takes them."""
    return {
        "env": dict(_variable(text) for text in args.env),
        "cwd": args.workdir or None,
        "timeout": args.timeout,
        "profile": args.profile,
    }


def run(args: Namespace) -> int:
    """Run it, and be it."""
    command = _command(args)
    if args.detach and (args.interactive or args.tty):
        refuse("exec", "-d leaves at once: it goes with neither -i nor -t")
    client = connect(args, timeout=None)
    options = call_options(args)
    if args.detach:
        print(client.exec(args.session, command, wait=False, background=True, **options).id)
        return 0
    if args.tty:
        from deepd.cli.terminal import run_in_terminal  # noqa: PLC0415 - only a pty needs it

        return run_in_terminal(client, args.session, command, options, stdin=args.interactive)
    if args.interactive:
        from deepd.cli.stdin import forward_stdin  # noqa: PLC0415 - only -i needs a thread

        stream = CallStream(client, on_call=lambda call_id: forward_stdin(client, call_id))
        # A background call's stdin stays open; its output is followed all the same.
        return stream.run(client.exec_stream(args.session, command, background=True, **options))
    return CallStream(client).run(client.exec_stream(args.session, command, **options))


def _command(args: Namespace) -> str | list[str]:
    words = [*args.command, *args.words]
    if args.text is not None and words:
        refuse("exec", "give either -c TEXT or a command after `--`")
    if args.text is not None:
        return str(args.text)
    if not words:
        refuse("exec", "there is no command; put it after `--`")
    return words


def _variable(text: str) -> tuple[str, str]:
    """Return `NAME=VALUE` in two; `NAME` alone takes the value from our environment."""
    name, equals, value = text.partition("=")
    if not name:
        refuse("exec", f"-e {text}: there is no name")
    return name, value if equals else os.environ.get(name, "")
