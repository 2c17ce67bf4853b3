"""Moments as people read them."""

from __future__ import annotations

import time


def clock(at: float) -> str:
    """Return the local time of day, with the date when it is not today's."""
    moment = time.localtime(at)
    today = time.localtime()[:3] == moment[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", moment)
