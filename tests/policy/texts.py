"""Profiles for the tests of the policy: rules in few words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepd.model.ids import ProfileName
from deepd.model.profile import Answer, Profile, Rule, ToolPolicy
from deepd.policy.decide import decide
from deepd.policy.verdict import Verdict

WORK_DIR = "/workspace"


def rules(answer: Answer, *patterns: str) -> tuple[Rule, ...]:
    """Return rules over commands."""
    return tuple(Rule(answer, match=pattern, written=f"{answer} {pattern}") for pattern in patterns)


def over_commands(
    *,
    allow: Sequence[str] = (),
    ask: Sequence[str] = (),
    deny: Sequence[str] = (),
    default: Answer = "ask",
    **more: Any,
) -> Profile:
    """Return a profile with rules over `execute`."""
    entry = ToolPolicy(
        "execute", default, (*rules("deny", *deny), *rules("ask", *ask), *rules("allow", *allow))
    )
    return profile_of(entry, **more)


def profile_of(*entries: ToolPolicy, **more: Any) -> Profile:
    """Return a profile with these entries of `interrupt_on`."""
    return Profile(name=ProfileName("p"), file=Path("p.toml"), interrupt_on=entries, **more)


def of(profile: Profile, command: str, **args: Any) -> Verdict:
    """Return what a profile says to a command."""
    return decide(profile, "execute", {"command": command, **args})


def answer_of(profile: Profile, command: str, **args: Any) -> Answer:
    """Return the answer alone."""
    return of(profile, command, **args).answer
