"""Known holes of container runtimes that let a sandbox out, by version."""

from __future__ import annotations

import re
from dataclasses import dataclass

Version = tuple[int, int, int]

_VERSION = re.compile(r"runc v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Hole:
    """One advisory, and the first version without it on each branch that was mended."""

    names: str
    severity: str
    what: str
    fixed: tuple[Version, ...]

    def is_in(self, version: Version) -> bool:
        """Return whether a version has the hole."""
        same_branch = [fix for fix in self.fixed if fix[:2] == version[:2]]
        return version < (same_branch[0] if same_branch else max(self.fixed))

    @property
    def mend(self) -> str:
        """Which versions to have."""
        return " or ".join(".".join(map(str, fix)) for fix in self.fixed)


RUNC = (
    Hole(
        "CVE-2024-21626",
        "high",
        "a leaked file descriptor gives a container the host's files",
        ((1, 1, 12),),
    ),
    Hole(
        "CVE-2024-45310",
        "low",
        "a race over shared volumes makes empty files on the host",
        ((1, 1, 14),),
    ),
    Hole(
        "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
        "high",
        "races over masked paths, /dev/console and procfs let a container write to the host",
        ((1, 2, 8), (1, 3, 3)),
    ),
)


def runc_version(isolation: str) -> Version | None:
    """Return runc's version out of what an engine says of its isolation."""
    match = _VERSION.search(isolation)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def holes_of(version: Version) -> list[Hole]:
    """Return the known holes of a version of runc."""
    return [hole for hole in RUNC if hole.is_in(version)]
