"""What a profile would have said to calls of the past, beside what became of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deepd.model.profile import CONSOLE_TOOLS, Answer, Profile
from deepd.policy.decide import decide
from deepd.policy.place import lexical
from deepd.policy.verdict import Verdict

Past = Literal["alone", "approved", "refused", "unanswered", "denied"]
"""It passed alone; a person approved or refused it; nobody answered; a rule denied it."""
Change = Literal["same", "passes", "held", "denied"]
"""What is new: it passes alone, a person is asked, or a rule denies it."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One call of the past, decided by another profile."""

    past: Past
    verdict: Verdict

    @property
    def change(self) -> Change:
        """Return what would be different."""
        now: dict[Answer, Change] = {"allow": "passes", "ask": "held", "deny": "denied"}
        before = {"alone": "allow", "denied": "deny"}.get(self.past, "ask")
        return "same" if before == self.verdict.answer else now[self.verdict.answer]

    @property
    def is_reversed(self) -> bool:
        """Return whether a person refused it and it would now pass without one."""
        return self.past == "refused" and self.verdict.answer == "allow"


def replay(profile: Profile, tool: str, args: Mapping[str, Any], past: Past) -> Replayed:
    """Return what a profile says to a call; a path is taken for where it leads, as it is written.

    Where links led to then is not stored, and no sandbox of then can be asked.
    """
    resolved = None
    if tool in CONSOLE_TOOLS and tool != "execute":
        resolved = lexical(str(args.get("path", ".")), profile.work_dir)
    return Replayed(past, decide(profile, tool, args, resolved))
