"""The client of a command, named after the person who types."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

from deepd.cli.quick import own_name
from deepd.client.http import Reply
from deepd.client.sync import Client

PATIENCE = 10.0
"""Seconds that a daemon may be silent on a question that needs no sandbox."""


def connect(args: Namespace, *, timeout: float | None = PATIENCE) -> Client:
    """Return a client for the daemon's socket; it connects when it asks, and closes at the end."""
    client = Client(args.socket, name=own_name(), timeout=timeout)
    args.closing.callback(client.close)
    return client


def fetch(client: Client, path: str) -> Any:
    """Return the API's own document at a path."""
    return client.request("GET", path).json()


def print_document(client: Client, path: str) -> int:
    """Print the API's own document, as it came."""
    print_reply(client.request("GET", path))
    return 0


def print_reply(reply: Reply) -> None:
    """Print a document that came: with indents where a person looks."""
    if sys.stdout.isatty():
        from deepd.cli.show import print_json  # noqa: PLC0415 - programs do without

        print_json(reply.json())
    else:
        print(reply.body.decode("utf-8").rstrip("\n"))


def print_line(value: dict[str, Any]) -> None:
    """Print one line of a stream as the API sent it."""
    if isinstance(value.get("data"), bytes):
        # The client's own addition: decoded output.
        del value["data"]
    print(json.dumps(value, separators=(",", ":")), flush=True)
