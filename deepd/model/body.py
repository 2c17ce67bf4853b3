"""Body: bytes that came with a call, in memory while small and in a file of the daemon's else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepd.model.sealed import Sealed


@dataclass(frozen=True, slots=True)
class Body:
    """What a `write_file` call writes."""

    size: int
    sha256: str
    data: bytes = b""
    path: Path | None = None
    """The spool file, when it is not in `data`."""
    sealed: Sealed | None = None
    """The same bytes as the file's, where they are also in memory since they came."""
