"""`deepd status`: the daemon, its engine, its profiles, and what waits for a person."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from deepd.cli.connect import connect, print_document
from deepd.cli.parser import add_json, add_verb

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "status", description="Exits with 3 when no daemon runs.")
    add_json(parser)


def run(args: Namespace) -> int:
    """Print it."""
    client = connect(args)
    if args.json:
        return print_document(client, "/v1/info")
    from deepd.cli.status_text import render_status  # noqa: PLC0415 - scripts poll with `--json`

    info = client.info()
    contents = [client.profile(profile["name"])["profile"] for profile in info["profiles"]]
    holds = [content is None or bool(content["interrupt_on"]) for content in contents]
    lines = render_status(
        info | {"holds": holds}, client.socket_path, client.sessions(), client.approvals()
    )
    print("\n".join(lines))
    return 0
