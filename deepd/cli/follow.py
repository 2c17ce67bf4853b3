"""Following the daemon's events without a gap, also when the reader was too slow."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterator
from typing import Any

from deepd.client.sync import Client


def end_on_interrupt() -> None:
    """Let Ctrl-C end us at once: who only shows what comes has nothing to tidy up.

    Python's own way looks for the signal between two steps, and misses one that comes right before
    a wait until that ends; here that may be hours.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def follow(client: Client, after: int | None, *, session: str = "") -> Iterator[dict[str, Any]]:
    """Yield events as they come; a `dropped` line is yielded too, then it goes on from there."""
    while True:
        for event in client.events(after, follow=True, session=session):
            yield event
            after = int(event.get("resume_after") or event.get("id") or after or 0)
            if event["kind"] == "dropped":
                break
        else:
            return


def follow_events(client: Client, kinds: Collection[str], look: Callable[[], None]) -> None:
    """Look once, and again after each event of these kinds; no change between is missed."""
    after = last_event(client)
    look()
    for event in follow(client, after):
        if event["kind"] in kinds or event["kind"] == "dropped":
            look()


def last_event(client: Client) -> int:
    """Return the number of the newest event."""
    return int(client.info().get("last_event") or 0)
