"""Metric: one number, or one for each of a few words, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """A name with its samples: by the value of one label, or a single one under `""`."""

    name: str
    kind: Literal["gauge", "counter"]
    about: str
    samples: Mapping[str, float] = field(default_factory=dict)
    label: str = "state"


def single(name: str, kind: Literal["gauge", "counter"], about: str, value: float) -> Metric:
    """Return a metric of one number."""
    return Metric(name, kind, about, {"": value})
