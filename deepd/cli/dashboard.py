"""`deepd dashboard`: attach to the daemon, watch, decide."""

from __future__ import annotations

import gc
import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from deepd.cli.parser import add_verb, refuse
from deepd.cli.quick import own_name

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

PORT = 8311


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "dashboard",
        description="`q` detaches and the daemon goes on; `?` has the keys.",
    )
    parser.add_argument("--read-only", action="store_true", help="look, and change nothing")
    parser.add_argument("--light", action="store_true", help="begin with the light theme")
    parser.add_argument("--web", action="store_true", help="serve it to a browser on this machine")
    parser.add_argument(
        "--port", type=int, default=PORT, help=f"the port on loopback for --web, 0 for any ({PORT})"
    )


def run(args: Namespace) -> int:
    """Show it until the person leaves."""
    if args.web:
        return _serve(args)
    # The web server runs us without a terminal of our own, and says so.
    if not sys.stdout.isatty() and "TEXTUAL_DRIVER" not in os.environ:
        refuse("dashboard", "there is no terminal here; use `deepd status` and `deepd approvals`")
    gc.disable()  # until the first paint, which then comes sooner
    # asyncio would load OpenSSL, a thirtieth of the start; nothing here speaks TLS.
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type] # what Python itself means by it
    from deepd.tui.start import run_dashboard  # noqa: PLC0415 - refuse before loading it

    run_dashboard(args.socket, name=own_name(), read_only=args.read_only, light=args.light)
    return 0


def _serve(args: Namespace) -> int:
    from deepd.tui.web import listen, serve  # noqa: PLC0415 - only --web needs a web server

    try:
        listener = listen(args.port)
    except (OSError, OverflowError) as error:
        refuse("dashboard", f"port {args.port} cannot be had: {error}; choose one with --port")
    return serve(_words(args), listener)


def _words(args: Namespace) -> list[str]:
    words = [sys.executable, "-m", "deepd"]
    words += ["--socket", args.socket] if args.socket else []
    words.append("dashboard")
    words += ["--read-only"] if args.read_only else []
    return words + (["--light"] if args.light else [])
