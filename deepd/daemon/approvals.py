"""ApprovalService: holds calls for a human, and takes one decision each."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Literal

from deepd.daemon.attachment import Sessions
from deepd.daemon.events import EventBus
from deepd.daemon.grants import GrantService
from deepd.daemon.journal import Journal, args_for_audit, summary
from deepd.daemon.looks import Looks
from deepd.daemon.named_files import Files
from deepd.daemon.prefix import checked_prefix, not_one
from deepd.daemon.shown import show
from deepd.daemon.tools import parse_tool_request
from deepd.errors import (
    AlreadyDecidedError,
    ArgumentsError,
    BadRequestError,
    DeniedError,
    FingerprintError,
    ForbiddenError,
    LimitError,
    NotFoundError,
)
from deepd.model.approval import Approval, ApprovalState, Approved, Decision, Denied
from deepd.model.body import Body
from deepd.model.call import Call, CallState
from deepd.model.caller import Caller
from deepd.model.duration import render_duration
from deepd.model.ids import CallId
from deepd.model.profile import Profile
from deepd.policy.decide import decide
from deepd.policy.verdict import Verdict

logger = logging.getLogger(__name__)

_RETRY = 1.0
_LONGEST_DETAIL = 300


class ApprovalService:
    """Approvals by the id of their call.

    `on_settled` is told of every call that is held no more; `on_stop` of a caller whose other
    calls shall end too.
    """

    def __init__(self, journal: Journal, bus: EventBus, sessions: Sessions) -> None:
        self._journal = journal
        self._store = journal.store
        self._clock = journal.clock
        self._bus = bus
        self._sessions = sessions
        self._held: dict[CallId, AbstractContextManager[Any]] = {}
        self._deadlines_changed = asyncio.Event()
        self.grants = GrantService(journal, bus.publish, sessions)
        self._looks = Looks(self._store, sessions, self._recheck)
        self.on_settled: Callable[[CallId], None] = lambda _: None
        self.on_stop: Callable[[Approval, str], None] = lambda *_: None

    def list(self, state: ApprovalState | None = "pending") -> list[Approval]:
        """Return the approvals in a state, or all; what waits longest comes first."""
        return self._store.approvals(state)

    def get(self, id_or_prefix: str) -> Approval:
        """Return an approval by its id, or by the beginning of it where that is unique."""
        found = self._store.find_approvals(checked_prefix(id_or_prefix))
        if len(found) != 1:
            raise not_one("approval", id_or_prefix, len(found))
        return found[0]

    def hold(self, call: Call, profile: Profile, verdict: Verdict, files: Files) -> Approval:
        """Store the approval of a call that is held, within the caller's durable transaction.

        Files that are not known yet are looked at, and shown, once the sandbox is there.
        """
        live = self._sessions.live(call.session)
        shown = show(call, profile, image_digest=live.image if live else "", files=files)
        now = self._clock()
        timeout = profile.approvals.timeout if verdict.timeout is None else verdict.timeout
        approval = Approval(
            id=call.id,
            session=call.session,
            profile=call.profile,
            tool=call.tool,
            args=call.args,
            fingerprint=shown.fingerprint,
            asked_at=now,
            deadline=None if verdict.on_timeout == "keep" else now + timeout,
            client=call.client,
            uid=call.uid,
            rule=call.rule,
            context=shown.context | {"asked_by": verdict.rule},
        )
        with self._store.write(durable=True):
            self._store.insert_approval(approval)
            self._publish("approval_asked", approval, deadline=approval.deadline)
            facts = {"fingerprint": approval.fingerprint, "rule": approval.rule}
            self._audit("approval_asked", approval, facts | args_for_audit(approval.args))
        self._store.after_commit(lambda: self._note_held(call))
        if files.unknown:
            self._store.after_commit(lambda: self._looks.soon(approval))
        return approval

    def decide(
        self,
        approval_id: str,
        fingerprint: str | None,
        decision: Decision,
        caller: Caller,
    ) -> Approval:
        """Take a human's decision, the first one; what is stored as approved is what will run.

        Raises `ForbiddenError` for an agent, `AlreadyDecidedError` after another decision,
        `FingerprintError` when something else was shown, `ArgumentsError` for edited arguments
        that do not fit and `DeniedError` for what the policy denies: the call is held still.
        """
        if caller.role != "operator":
            raise ForbiddenError(
                "an agent's socket cannot decide", next_step="decide on the operator's socket"
            )
        approval = self._due(self.get(approval_id))
        if approval.state != "pending":
            raise _decided(approval)
        if fingerprint is None and isinstance(decision, Approved):
            raise FingerprintError(
                "an approval must name the fingerprint of what was shown",
                next_step="read the approval and send its fingerprint as If-Match",
            )
        if fingerprint is not None and fingerprint != approval.fingerprint:
            raise _other_fingerprint()
        if isinstance(decision, Approved):
            self._approve(approval, decision, caller)
        else:
            self._deny(approval, decision, caller)
        settled = self._store.approval(approval.id)
        assert settled is not None  # noqa: S101 - it was decided in this very step
        return settled

    def cancel(self, call: Call, reason: str, by: str) -> bool:
        """End the approval of a held call that its caller takes back."""
        approval = self._store.approval(call.id)
        return approval is not None and self._end(approval, "cancelled", by, reason)

    async def run(self) -> None:
        """Expire approvals at their deadlines, until cancelled."""
        while True:
            self._deadlines_changed.clear()
            try:
                wait = self._expire()
            except LimitError as error:
                logger.warning("an expired approval cannot be stored: %s", error)
                wait = _RETRY
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._deadlines_changed.wait(), wait)

    def recover(self) -> None:
        """Go on holding what a former daemon held."""
        for approval in self._store.approvals("pending"):
            call = self._store.call(approval.id)
            if call is not None:
                self._note_held(call)
                self._looks.soon(approval)

    async def aclose(self) -> None:
        """Let go of the sessions, at the daemon's end; what is held stays so in the store."""
        await self._looks.aclose()
        while self._held:
            self._held.popitem()[1].__exit__(None, None, None)

    def recheck(self) -> None:
        """Ask the policy again after a reload: it may deny what is held, never let it run.

        Where the profile changed what would run, the call is shown anew: a decision on what was
        shown before is refused.
        """
        for approval in self._store.approvals("pending"):
            try:
                self._recheck(approval)
            except LimitError as error:
                logger.warning("approval %s cannot be rechecked: %s", approval.id, error)
            except NotFoundError:
                logger.info("approval %s has no profile now and stays as it is", approval.id)

    def difference(self, call: Call, profile: Profile, image: str, files: Files) -> str | None:
        """Return what is not as it was approved, `""` for nothing; `None`: nobody approved it."""
        approval = self._store.approval(call.id)
        if approval is None or approval.state != "approved":
            return None
        shown_digest = approval.context.get("image_digest", "")
        if shown_digest and shown_digest != image:
            return "the image changed since the call was shown"
        if changed := Files.shown(approval.context).difference(files):
            return changed
        now = show(call, profile, image_digest=shown_digest, files=files)
        same = now.fingerprint == approval.approved_fingerprint
        return "" if same else "the profile changed since the call was shown"

    def _approve(self, approval: Approval, decision: Approved, caller: Caller) -> None:
        call, profile = self._call(approval), self._sessions.profile_of(approval.session)
        digest, files = approval.context.get("image_digest", ""), Files.shown(approval.context)
        shown = show(call, profile, image_digest=digest, files=files)
        if shown.fingerprint != approval.fingerprint:
            self._recheck(approval)
            raise _other_fingerprint()
        approved = call
        if decision.args is not None and decision.args != approval.args:
            approved = _with_args(call, decision.args, profile)
        if decision.remember is not None:
            self.grants.check(decision.remember, profile, files)
        verdict = decide(profile, approved.tool, approved.args)
        if verdict.answer == "deny":
            raise DeniedError(
                f"the policy denies it: {verdict.reason or verdict.rule}",
                next_step="edit the arguments, deny the call, or change the profile",
            )
        # What edited arguments name beside that, nobody has seen: admission shows it first.
        if approved is not call:
            shown = show(approved, profile, image_digest=digest, files=files)
        by, now = str(caller), self._clock()
        with self._store.write(durable=True):
            if not self._store.decide(
                approval, decision, by=by, at=now, args=approved.args, fingerprint=shown.fingerprint
            ):
                raise _decided(self._store.approval(approval.id) or approval)
            if approved.timeout != call.timeout:
                self._store.change_call(call.id, CallState.APPROVED, timeout=approved.timeout)
            data: dict[str, Any] = {"edited": approved.args != approval.args}
            if decision.remember is not None:
                grant = self.grants.give(decision.remember, approval, approved, profile, by)
                data["grant"] = grant.id
            facts = {"fingerprint": shown.fingerprint} | args_for_audit(approved.args)
            self._told(approval, "approved", by, "", data, facts)
        self._settled(approval.id)

    def _deny(self, approval: Approval, decision: Denied, caller: Caller) -> None:
        if not self._end(approval, "denied", str(caller), decision.reason):
            raise _decided(self._store.approval(approval.id) or approval)
        if decision.stop:
            self.on_stop(approval, decision.reason)

    def _end(
        self,
        approval: Approval,
        state: Literal["denied", "expired", "cancelled"],
        by: str,
        reason: str,
    ) -> bool:
        with self._store.write(durable=True):
            ended = self._store.end_approval(
                approval, state, by=by, at=self._clock(), reason=reason
            )
            if ended:
                self._told(approval, state, by, reason, {}, {})
                self._journal.told_denied(self._call(approval))
                self._store.drop_body(approval.id)
        if ended:
            self._settled(approval.id)
        return ended

    def _due(self, approval: Approval) -> Approval:
        """Expire an approval whose deadline is over, so that no decision comes after it."""
        if (
            approval.state != "pending"
            or approval.deadline is None
            or self._clock() < approval.deadline
        ):
            return approval
        waited = render_duration(max(1.0, math.ceil(approval.deadline - approval.asked_at)))
        self._end(approval, "expired", "the deadline", f"nobody decided within {waited}")
        return self._store.approval(approval.id) or approval

    def _expire(self) -> float | None:
        for approval in self._store.approvals("pending"):
            self._due(approval)
        deadline = self._store.next_deadline()
        return None if deadline is None else max(0.0, deadline - self._clock())

    def _recheck(self, approval: Approval, files: Files | None = None) -> None:
        call, profile = self._call(approval), self._sessions.profile_of(approval.session)
        verdict = decide(profile, call.tool, call.args)
        try:
            _with_args(call, call.args, profile)
        except BadRequestError as error:
            self._end(approval, "denied", "the policy", error.detail)
            return
        if verdict.answer == "deny":
            self._end(approval, "denied", "the policy", verdict.reason or verdict.rule)
            return
        digest = approval.context.get("image_digest", "")
        shown = show(
            call, profile, image_digest=digest, files=files or Files.shown(approval.context)
        )
        context = shown.context | {"asked_by": verdict.rule}
        if shown.fingerprint == approval.fingerprint:
            if files is not None:
                self._store.insert_approval(replace(approval, context=context))
            return
        anew = replace(approval, fingerprint=shown.fingerprint, context=context)
        with self._store.write(durable=True):
            self._store.insert_approval(anew)
            self._publish("approval_asked", anew, deadline=anew.deadline, anew=True)
            facts = {"fingerprint": anew.fingerprint, "rule": anew.rule}
            self._audit("approval_asked", anew, facts | args_for_audit(anew.args))

    def _call(self, approval: Approval) -> Call:
        call = self._store.call(approval.id)
        if call is None:
            raise NotFoundError(f"the call of approval {approval.id} is not stored")
        return call

    def _note_held(self, call: Call) -> None:
        if call.id not in self._held:
            busy = self._sessions.busy(call.session, "held")
            busy.__enter__()
            self._held[call.id] = busy
        self._deadlines_changed.set()

    def _settled(self, call_id: CallId) -> None:
        # First the call takes over, so that the session is not idle in between.
        self.on_settled(call_id)
        if busy := self._held.pop(call_id, None):
            busy.__exit__(None, None, None)

    def _told(
        self,
        approval: Approval,
        state: ApprovalState,
        by: str,
        reason: str,
        data: dict[str, Any],
        facts: dict[str, Any],
    ) -> None:
        outcome = {"state": state, "by": by, "reason": reason}
        self._publish("approval_decided", approval, **outcome, **data)
        self._audit("approval_decided", approval, outcome | data | facts)

    def _publish(self, kind: Any, approval: Approval, **data: Any) -> None:
        facts = {
            "tool": approval.tool,
            "summary": summary(approval.args),
            "client": approval.client,
            "rule": approval.rule,
            "fingerprint": approval.fingerprint,
        }
        self._bus.publish(kind, session=approval.session, call=approval.id, **facts, **data)

    def _audit(self, kind: str, approval: Approval, facts: dict[str, Any]) -> None:
        who = {"session": approval.session, "tool": approval.tool, "client": approval.client}
        self._store.append_audit(self._clock(), kind, approval.id, who | facts)


def rule_text(verdict: Verdict) -> str:
    """Return a verdict's rule with its place in the profile, and why it came to that."""
    rule = f"{verdict.position}: {verdict.rule}" if verdict.position else verdict.rule
    return f"{rule}; {verdict.detail[:_LONGEST_DETAIL]}" if verdict.detail else rule


def _with_args(call: Call, args: dict[str, Any], profile: Profile) -> Call:
    """Return the call with other arguments, which fit the tool as the first ones had to."""
    if not isinstance(args, dict):
        raise ArgumentsError("args: must be an object")
    body = Body(call.body_size, call.body_sha256) if call.body_sha256 else None
    request = parse_tool_request(call.tool, args, profile.limits, body=body, timeout=call.timeout)
    return replace(call, args=args, timeout=getattr(request, "timeout", call.timeout))


def _decided(approval: Approval) -> AlreadyDecidedError:
    at = datetime.datetime.fromtimestamp(approval.decided_at or 0.0, datetime.UTC)
    when = at.isoformat(timespec="seconds")
    return AlreadyDecidedError(
        f"{approval.id[:8]} was {approval.state} by {approval.decided_by} at {when}",
        next_step="their decision stands",
    )


def _other_fingerprint() -> FingerprintError:
    return FingerprintError(
        "what is held now is not what was shown", next_step="look at the approval again"
    )
