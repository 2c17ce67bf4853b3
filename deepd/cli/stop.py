"""`deepd stop`: the daemon ends, and with it its containers; workspaces stay."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import TYPE_CHECKING

from deepd.cli.connect import connect
from deepd.cli.parser import add_verb, duration
from deepd.cli.process import is_alive
from deepd.errors import CallTimeoutError, DaemonDownError

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

_PAUSE = 0.02


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "stop", description="Held calls stay held until it is back.")
    parser.add_argument(
        "--keep", action="store_true", help="leave containers running; the next start adopts them"
    )
    parser.add_argument(
        "--timeout", type=duration, default=60.0, metavar="TIME", help="how long to wait (60s)"
    )


def run(args: Namespace) -> int:
    """Ask it to end and wait until it has."""
    client = connect(args)
    pid = int(client.info()["pid"])
    client.stop_daemon(keep=args.keep)
    client.close()
    deadline = time.monotonic() + args.timeout
    while is_alive(pid):
        if time.monotonic() > deadline:
            raise CallTimeoutError(
                f"the daemon (pid {pid}) has not ended after {args.timeout:g} s",
                next_step=f"wait longer, or `kill -9 {pid}`: the next start adopts what it left",
            )
        time.sleep(_PAUSE)
    try:
        connect(args).health()
    except DaemonDownError:
        print("stopped; containers go on" if args.keep else "stopped")
        return 0
    raise DaemonDownError(
        f"pid {pid} has ended, and another daemon answers at {client.socket_path}",
        next_step="something restarts it, such as systemd: stop it there",
    )
