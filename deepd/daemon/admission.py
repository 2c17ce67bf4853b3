"""Admission: the last gate, passed by every call at the moment before it is sent."""

from __future__ import annotations

from dataclasses import replace

from deepd.daemon.approvals import ApprovalService, rule_text
from deepd.daemon.attachment import Live, Sessions
from deepd.daemon.journal import Journal
from deepd.daemon.resolve import resolved_path
from deepd.errors import DeniedError
from deepd.model.call import Call, CallState
from deepd.model.profile import Profile
from deepd.policy.decide import decide
from deepd.policy.verdict import Verdict


class Admission:
    """Asks the policy in force, and checks an approval against what would run now."""

    def __init__(self, journal: Journal, approvals: ApprovalService, sessions: Sessions) -> None:
        self._journal = journal
        self._approvals = approvals
        self._sessions = sessions

    async def admit(self, call: Call, live: Live) -> Call | None:
        """Move a call to `sent` if it may run; else it was denied or held, or moved elsewhere."""
        profile, verdict = await self._decide(call, live)
        if verdict.answer == "deny":
            self._journal.deny(call, rule_text(verdict), verdict.reason or verdict.rule)
            return None
        needs_approval = verdict.answer == "ask" or call.state is CallState.APPROVED
        if needs_approval and not self._approvals.is_covered(call, profile, live.image):
            self._hold(call, profile, verdict)
            return None
        return self._journal.send(call, live, call.rule)

    async def check_again(self, call: Call, live: Live) -> None:
        """Raise `DeniedError` unless a call that was sent and never arrived may still run."""
        profile, verdict = await self._decide(call, live)
        if verdict.answer == "deny":
            raise DeniedError(verdict.reason or verdict.rule)
        was_asked = self._journal.store.approval(call.id) is not None
        if (verdict.answer == "ask" or was_asked) and not self._approvals.is_covered(
            call, profile, live.image
        ):
            raise DeniedError(
                "the profile changed before it ran", next_step="make the call again to be asked"
            )

    async def _decide(self, call: Call, live: Live) -> tuple[Profile, Verdict]:
        """Return the profile in force and what it says."""
        profile = self._sessions.profile_of(call.session)
        resolved = await resolved_path(profile, call.tool, call.args, live)
        profile = self._sessions.profile_of(call.session)
        return profile, decide(profile, call.tool, call.args, resolved)

    def _hold(self, call: Call, profile: Profile, verdict: Verdict) -> None:
        """Hold a call that was on its way: what it would do, or the rules, changed meanwhile."""
        held = replace(call, state=CallState.HELD, rule=rule_text(verdict))
        store = self._journal.store
        with store.write(durable=True):
            if store.move(call.id, call.state, CallState.HELD, rule=held.rule):
                self._approvals.hold(held, profile, verdict)
