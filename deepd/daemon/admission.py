"""Admission: the last gate, passed by every call at the moment before it is sent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deepd.daemon.approvals import ApprovalService, rule_text
from deepd.daemon.attachment import Live, Sessions
from deepd.daemon.grants import rule_of
from deepd.daemon.journal import Journal
from deepd.daemon.named_files import Files, files_of
from deepd.daemon.resolve import resolved_path
from deepd.errors import DeniedError
from deepd.model.call import Call, CallState
from deepd.model.profile import Profile
from deepd.policy.decide import decide
from deepd.policy.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Look:
    """All that admission depends on, at one moment."""

    profile: Profile
    verdict: Verdict
    files: Files


class Admission:
    """Asks the policy in force, and checks an approval against what would run look."""

    def __init__(self, journal: Journal, approvals: ApprovalService, sessions: Sessions) -> None:
        self._journal = journal
        self._approvals = approvals
        self._sessions = sessions

    async def admit(self, call: Call, live: Live) -> Call | None:
        """Move a call to `sent` if it may run; else it was denied or held, or moved elsewhere."""
        look = await self._look(call, live)
        verdict = look.verdict
        if verdict.answer == "deny":
            self._journal.deny(call, rule_text(verdict), verdict.reason or verdict.rule)
            return None
        if verdict.answer == "ask" or call.state is CallState.APPROVED:
            changed = self._approvals.difference(call, look.profile, live.image, look.files)
            if changed != "":
                return self._send_granted(call, live, look, changed or "")
        return self._journal.send(call, live, call.rule)

    def _send_granted(self, call: Call, live: Live, look: Look, changed: str) -> Call | None:
        """Send what nobody approved but somebody remembered; hold what nobody did."""
        grants = self._approvals.grants
        grant = grants.covering(call, look.profile, look.verdict, live, look.files)
        if grant is None:
            self._hold(call, look, changed)
            return None
        with self._journal.store.write():
            sent = self._journal.send(call, live, rule_of(grant), grant.id)
            if sent is not None:
                grants.use(grant)
        return sent

    async def check_again(self, call: Call, live: Live) -> None:
        """Raise `DeniedError` unless a call that was sent and never arrived may still run."""
        look = await self._look(call, live)
        if look.verdict.answer == "deny":
            raise DeniedError(look.verdict.reason or look.verdict.rule)
        if self._approvals.grants.still_covers(call, look.profile, live, look.files):
            return
        was_asked = self._journal.store.approval(call.id) is not None
        if look.verdict.answer != "ask" and not was_asked:
            return
        changed = self._approvals.difference(call, look.profile, live.image, look.files)
        if changed != "":
            raise DeniedError(
                changed or "the profile changed before it ran",
                next_step="make the call again to be asked",
            )

    async def _look(self, call: Call, live: Live) -> Look:
        """Return the profile in force, what it says, and the files that the call names."""
        while True:
            profile = self._sessions.profile_of(call.session)
            resolved = await resolved_path(profile, call.tool, call.args, live)
            files = await files_of(call.tool, call.args, profile, live)
            if self._sessions.profile_of(call.session) == profile:
                return Look(profile, decide(profile, call.tool, call.args, resolved), files)

    def _hold(self, call: Call, look: Look, changed: str) -> None:
        """Hold a call that was on its way: what it would do, or the rules, changed meanwhile."""
        verdict = look.verdict
        if changed:
            verdict = verdict._replace(detail=changed)
        held = replace(call, state=CallState.HELD, rule=rule_text(verdict))
        store = self._journal.store
        with store.write(durable=True):
            if store.move(call.id, call.state, CallState.HELD, rule=held.rule):
                self._approvals.hold(held, look.profile, verdict, look.files)
