"""Durations and sizes as people write them, to seconds and bytes and back."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_duration(text: str) -> float:
    """Return the seconds of `90s`, `15m`, `1h30m`; raise `ValueError` for anything else."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration such as 90s, 15m or 1h30m")
    days, hours, minutes, seconds = match.groups()
    return (
        int(days or 0) * 86400
        + int(hours or 0) * 3600
        + int(minutes or 0) * 60
        + float(seconds or 0)
    )


def parse_size(text: str) -> int:
    """Return the bytes of `64MiB`, `1g`, `512k`; all units are powers of 1024, as docker's are."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 512k, 64MiB or 1g")
    number, power, _ = match.groups()
    return int(float(number) * 1024 ** _POWERS[power.lower()])


def render_duration(seconds: float) -> str:
    """Return the shortest exact text: 5400 is `1h30m`, 0.5 is `0.5s`."""
    if seconds <= 0:
        return "0s"
    whole, rest = divmod(seconds, 60)
    days, minutes_in_day = divmod(int(whole), 1440)
    hours, minutes = divmod(minutes_in_day, 60)
    parts = [
        f"{value}{unit}" for value, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if value
    ]
    if rest:
        parts.append(f"{rest:g}s")
    return "".join(parts)


def render_age(seconds: float) -> str:
    """Return one rounded unit for a table: `3m`, `2h`, `5d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


def render_size(size: float) -> str:
    """Return a size with one unit and at most three digits: `38M`, `1.1G`."""
    for unit in ("B", "K", "M", "G"):
        if size < 1024:
            return f"{size:.0f}{unit}" if size >= 10 or unit == "B" else f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}T"
