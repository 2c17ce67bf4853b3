"""Times as people read them: ages, what is left, and the time of day."""

from __future__ import annotations

import time

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


def short(seconds: float) -> str:
    """Return a length of time in one unit: `52m`, `3d`."""
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def left(seconds: float) -> str:
    """Return a countdown: `00:48`, `14:20`, `2h05`."""
    whole = max(0, int(seconds))
    if whole >= 86400:
        return short(whole)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02}"
    return f"{whole // 60:02}:{whole % 60:02}"


def took(seconds: float) -> str:
    """Return how long something took: `0.02s`, `2.1s`, `14m`."""
    return (
        f"{seconds:.2f}s" if seconds < 1 else f"{seconds:.1f}s" if seconds < 60 else short(seconds)
    )


def of_day(at: float) -> str:
    """Return the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def size(octets: float) -> str:
    """Return a number of bytes: `38M`, `1.5G`."""
    for unit in ("B", "K", "M", "G"):
        if octets < 1000 or unit == "G":
            is_small = unit != "B" and octets < 9.95 and round(octets, 1) % 1
            return f"{octets:.1f}{unit}" if is_small else f"{octets:.0f}{unit}"
        octets /= 1024
    raise AssertionError
