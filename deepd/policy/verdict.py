"""Verdict: what the policy answers to one call, and which line of the profile says so."""

from __future__ import annotations

from typing import Literal, NamedTuple

from deepd.model.profile import Answer, Position, Rule

OnTimeout = Literal["deny", "keep"]

STRENGTH: dict[Answer, int] = {"allow": 0, "ask": 1, "deny": 2}
"""Of several answers the strongest counts, whatever their order."""


class Verdict(NamedTuple):
    """The answer, and all that a person needs to see where it comes from."""

    answer: Answer
    rule: str
    """The rule as it is written, or what there is in place of one."""
    position: Position | None = None
    reason: str = ""
    """What the profile's author gave as the reason, for the caller and the human."""
    timeout: float | None = None
    """For `ask`: deny when nobody has decided within so many seconds; `None` waits."""
    on_timeout: OnTimeout = "deny"
    detail: str = ""
    """Why nothing weaker was answered: what no rule allows, or what cannot be proven."""
    part: tuple[int, int] | None = None
    """The bytes of the command that decided, from and up to; `None` is all of the call."""
    by: Rule | None = None
    """The rule that decided; `None` where a default did."""
    can_be_allowed: bool = False
    """A rule over the part that decided could allow it."""

    def __str__(self) -> str:
        place = f" ({self.position})" if self.position else ""
        detail = f"; {self.detail}" if self.detail else ""
        return f"{self.answer}: {self.rule}{place}{detail}"
