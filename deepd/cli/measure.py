"""What sessions use now: asked for all of them at once, and not waited for long."""

from __future__ import annotations

import time
from collections.abc import Iterable
from threading import Thread
from typing import Any

from deepd.client.sync import Client
from deepd.errors import DeepdError

_MEASURABLE = frozenset({"ready", "busy", "held", "setup", "paused"})
_WITHIN = 2.0
_AT_ONCE = 8


def measure(
    client: Client, sessions: Iterable[dict[str, Any]], *, within: float = _WITHIN
) -> dict[str, dict[str, Any]]:
    """Return the stats by name of the sessions that have a container; late ones are left out."""
    left = [session["name"] for session in sessions if session["state"] in _MEASURABLE]
    found: dict[str, dict[str, Any]] = {}
    threads = [
        Thread(target=_work, args=(client, left, found), daemon=True)
        for _ in range(min(_AT_ONCE, len(left)))
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + within
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)


def _work(client: Client, left: list[str], found: dict[str, dict[str, Any]]) -> None:
    while left:
        try:
            # Taking from a list is atomic: each name goes to one thread.
            name = left.pop()
        except IndexError:
            return
        try:
            found[name] = client.stats(name)
        except DeepdError:
            # A session that stopped meanwhile has nothing to show.
            continue
