"""What may be remembered of an approval, and what else that would have let pass."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from deepd.daemon.history import Told, history
from deepd.model.approval import Approval
from deepd.model.profile import Answer, Profile
from deepd.policy.explain import Edit, smallest_edits
from deepd.policy.history import replay
from deepd.store.store import Store

MOST_CALLS = 1000
"""Of the session's history that are looked at."""
MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Proposal:
    """Two ways to be asked less: for this very call, or by a rule that means more."""

    scopes: tuple[str, ...]
    """How far the profile lets it be remembered."""
    looked_at: int
    """How many calls of the session's history were looked at."""
    grant_calls: tuple[Told, ...]
    """Calls of this session that were asked about and are the very same."""
    grant_count: int
    edits: tuple[Edit, ...]
    """The smallest edit of the profile that lets it pass; nothing where no rule would."""
    becomes: Answer | None
    rule_calls: tuple[Told, ...]
    """Calls of this session that did not pass alone and that the edit would have let pass."""
    rule_count: int


async def propose(store: Store, approval: Approval, profile: Profile) -> Proposal:
    """Return what can be remembered of an approval; the daemon's loop goes on meanwhile."""
    edits, changed, becomes = smallest_edits(profile, approval.tool, approval.args)
    same: list[Told] = []
    by_rule: list[Told] = []
    looked_at = 0
    for page in history(store, session=approval.session, limit=MOST_CALLS):
        asked = [told for told in page if told.id != approval.id and told.past != "alone"]
        looked_at += len(page)
        for told in asked:
            if told.tool == approval.tool and told.args == approval.args:
                same.append(told)
            if becomes == "allow" and replay(changed, told.tool, told.args, told.past).change == (
                "passes"
            ):
                by_rule.append(told)
        await asyncio.sleep(0)
    return Proposal(
        scopes=profile.approvals.remember,
        looked_at=looked_at,
        grant_calls=tuple(same[:MOST_SHOWN]),
        grant_count=len(same),
        edits=edits,
        becomes=becomes,
        rule_calls=tuple(by_rule[:MOST_SHOWN]),
        rule_count=len(by_rule),
    )
