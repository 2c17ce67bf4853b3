"""Moments as people read them."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError


def clock(at: float) -> str:
    """Return the local time of day, with the date when it is not today's."""
    moment = time.localtime(at)
    today = time.localtime()[:3] == moment[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", moment)


def moment(text: str) -> float:
    """Return a time to come, in seconds since the epoch: `2h`, `18:00`, `2030-01-31T18:00`."""
    from datetime import datetime, timedelta  # noqa: PLC0415 - few options are moments

    from deepd.model.duration import parse_duration  # noqa: PLC0415 - the same

    now = datetime.now().astimezone()
    try:
        if ":" not in text and "-" not in text:
            return now.timestamp() + parse_duration(text)
        if "-" in text:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo else at.astimezone()
        else:
            day = datetime.strptime(text, "%H:%M").replace(tzinfo=now.tzinfo)
            at = now.replace(hour=day.hour, minute=day.minute, second=0, microsecond=0)
            at = at if at > now else at + timedelta(days=1)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is no time: write `2h`, `18:00` or `2030-01-31T18:00`"
        ) from None
    if at <= now:
        raise ArgumentTypeError(f"{text!r} is over already")
    return at.timestamp()
