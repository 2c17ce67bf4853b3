"""How much of a pull or a build is done, from what the engine prints meanwhile. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
_DONE = {"Pull complete": 1.0, "Already exists": 1.0, "Download complete": 0.7}
_DOWNLOAD = 0.7
"""The part of a layer that its download is; the rest is unpacking."""


class PullProgress:
    """Adds up the layers of one pull."""

    def __init__(self) -> None:
        self._layers: dict[str, float] = {}
        self._fraction = 0.0

    def feed(self, line: Mapping[str, Any]) -> float | None:
        """Return how much is done after this line, never less than before; `None`: not known."""
        layer, status = line.get("id"), str(line.get("status", ""))
        if not layer or status.startswith("Pulling from"):
            return self._fraction if self._layers else None
        part = self._part(status, line.get("progressDetail") or {})
        self._layers[layer] = max(self._layers.get(layer, 0.0), part)
        # Layers become known one by one: the sum must not go back when one more appears.
        self._fraction = max(self._fraction, sum(self._layers.values()) / len(self._layers))
        return self._fraction

    @staticmethod
    def _part(status: str, detail: Mapping[str, Any]) -> float:
        total = detail.get("total") or 0
        ratio = min(1.0, detail.get("current", 0) / total) if total > 0 else 0.0
        if status == "Downloading":
            return _DOWNLOAD * ratio
        if status == "Extracting":
            return _DOWNLOAD + (1 - _DOWNLOAD) * ratio
        return _DONE.get(status, 0.0)


def read_step(text: str) -> tuple[str, float] | None:
    """Return the instruction and the fraction done when a build's line begins a new step."""
    match = _STEP.match(text)
    if match is None:
        return None
    number, total, instruction = match.groups()
    return instruction[:200], (int(number) - 1) / max(1, int(total))
