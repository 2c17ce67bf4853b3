"""Caller: who asks, as far as that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["operator", "agent"]


@dataclass(frozen=True, slots=True)
class Caller:
    """The other end of a request."""

    uid: int
    """The peer's user id as the kernel gives it: proven."""
    pid: int
    role: Role
    """By the socket that it came through: agents make calls and never decide."""
    client: str = ""
    """What it calls itself (`X-Deepd-Client`); shown, never trusted."""

    def __str__(self) -> str:
        return f"uid {self.uid}" + (f" ({self.client})" if self.client else "")
