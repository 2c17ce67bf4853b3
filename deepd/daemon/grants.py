"""GrantService: approvals that are remembered; what they cover, their use and their end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from deepd.daemon.attachment import Live, Sessions
from deepd.daemon.grants_file import write_grants
from deepd.daemon.journal import Journal, args_for_audit, summary
from deepd.daemon.named_files import Files
from deepd.daemon.prefix import checked_prefix, not_one
from deepd.daemon.shown import grant_key
from deepd.errors import ArgumentsError, ConflictError, ForbiddenError, LimitError
from deepd.model.approval import Approval
from deepd.model.call import Call
from deepd.model.caller import Caller
from deepd.model.grant import Grant, Remember
from deepd.model.ids import GrantId, SessionName, new_grant_id
from deepd.model.profile import Profile
from deepd.policy.verdict import Verdict

logger = logging.getLogger(__name__)

MAX_GRANTS = 1000
"""That are active; a person cannot keep more in mind anyway."""


BY_COUNT = "its count"
BY_TIME = "its time"


class GrantService:
    """Grants in the store, and the file that shows them to people."""

    def __init__(
        self, journal: Journal, publish: Callable[..., object], sessions: Sessions
    ) -> None:
        self._journal = journal
        self._store = journal.store
        self._clock = journal.clock
        self._publish = publish
        self.file = self._store.folder / "grants.toml"
        sessions.on_closed(self._session_closed)

    def all(self, *, ended: bool = False) -> list[Grant]:
        """Return what is remembered, the newest first; with `ended` also what was."""
        self._end_what_is_over()
        return self._store.grants(ended=ended)

    def get(self, id_or_prefix: str) -> Grant:
        """Return a grant by its id, or by the beginning of it where that is unique."""
        found = self._store.find_grants(checked_prefix(id_or_prefix))
        if len(found) != 1:
            raise not_one("grant", id_or_prefix, len(found))
        return found[0]

    def check(self, remember: Remember, profile: Profile, files: Files) -> None:
        """Refuse what may not be remembered, before anything is approved."""
        if remember.scope not in profile.approvals.remember:
            allowed = ", ".join(profile.approvals.remember) or "nothing"
            raise ForbiddenError(
                f"the profile {profile.name} does not let an approval be remembered for the "
                f"{remember.scope}: approvals.remember allows {allowed}",
                next_step="approve it this once, or change approvals.remember in the profile",
            )
        if remember.count is not None and remember.count < 1:
            raise ArgumentsError("remember.count: must be at least 1")
        if remember.until is not None and remember.until <= self._clock():
            raise ArgumentsError("remember.until: is over already")
        if files.unknown:
            raise ConflictError(
                f"it names files that nobody has seen yet: {files.unknown}",
                next_step="approve it this once, or look again when its sandbox runs",
            )
        if len(self._store.grants(limit=MAX_GRANTS)) >= MAX_GRANTS:
            raise LimitError(
                f"{MAX_GRANTS} grants are active", next_step="revoke some: deepd grants revoke ID"
            )

    def give(
        self, remember: Remember, approval: Approval, call: Call, profile: Profile, by: str
    ) -> Grant:
        """Remember an approval, within the transaction that takes it; `call` is what will run."""
        files = Files.shown(approval.context)
        grant = Grant(
            id=new_grant_id(),
            scope=remember.scope,
            session=call.session,
            profile=profile.name,
            tool=call.tool,
            args=call.args,
            bound=grant_key(call, profile, remember.scope, files),
            call=call.id,
            asked_by=str(approval.context.get("asked_by", "")),
            granted_at=self._clock(),
            granted_by=by,
            count=remember.count,
            until=remember.until,
            context=approval.context,
        )
        self._store.insert_grant(grant)
        self._tell("grant_made", grant, scope=grant.scope, count=grant.count, until=grant.until)
        self._store.after_commit(self._write_file)
        return grant

    def may_cover(self, call: Call, profile: Profile, verdict: Verdict) -> bool:
        """Return whether a grant is about such a call, as far as no sandbox needs to be asked."""
        return any(
            grant.args == call.args and self._is_about(grant, call, profile, verdict)
            for grant in self._store.grants_for(profile.name, call.tool)
        )

    def covering(
        self, call: Call, profile: Profile, verdict: Verdict, live: Live | None, files: Files
    ) -> Grant | None:
        """Return the grant that lets a call pass which the policy asks about."""
        if files.unknown:
            return None
        for grant in self._store.grants_for(profile.name, call.tool):
            if self._is_about(grant, call, profile, verdict) and self._is_same(
                grant, call, profile, live, files
            ):
                return grant
        return None

    def still_covers(self, call: Call, profile: Profile, live: Live, files: Files) -> bool:
        """Return whether the grant that a call was sent by still stands; its use is counted."""
        grant = self._store.grant(GrantId(call.grant)) if call.grant else None
        if grant is None or grant.ended_by not in {"", BY_COUNT, BY_TIME} or files.unknown:
            return False
        return self._is_same(grant, call, profile, live, files)

    def use(self, grant: Grant) -> None:
        """Count a use, within the transaction that admits the call."""
        if not self._store.use_grant(grant.id, self._clock()):
            raise RuntimeError(f"grant {grant.id} was active and could not be used")
        if grant.left == 1:
            self._end(grant, BY_COUNT)

    def revoke(self, id_or_prefix: str, caller: Caller) -> Grant:
        """End a grant; what it let pass already goes on."""
        grant = self.get(id_or_prefix)
        with self._store.write(durable=True):
            if not self._end(grant, str(caller)):
                raise ConflictError(f"grant {grant.id[:12]} has ended: {grant.ended_by}")
        return self.get(grant.id)

    def revoke_all(self, session: SessionName | None, caller: Caller) -> list[Grant]:
        """End all grants, or those that were given in a session."""
        chosen = [each for each in self.all() if session in (None, each.session)]
        with self._store.write(durable=True):
            for grant in chosen:
                self._end(grant, str(caller))
        return [self.get(grant.id) for grant in chosen]

    def _is_about(self, grant: Grant, call: Call, profile: Profile, verdict: Verdict) -> bool:
        return (
            verdict.answer == "ask"
            and verdict.rule == grant.asked_by
            and grant.scope in profile.approvals.remember
            and (grant.scope == "profile" or grant.session == call.session)
            and grant.state(self._clock()) == "active"
        )

    def _is_same(
        self, grant: Grant, call: Call, profile: Profile, live: Live | None, files: Files
    ) -> bool:
        shown = grant.context.get("image_digest", "")
        if shown and live is not None and shown != live.image:
            return False
        return grant.bound == grant_key(call, profile, grant.scope, files)

    def _session_closed(self, session: SessionName) -> None:
        """End what was remembered in a session: the next one of its name is another."""
        chosen = [each for each in self._store.grants() if each.session == session]
        with self._store.write(durable=True):
            for grant in chosen:
                if grant.scope == "session":
                    self._end(grant, "its session's end")

    def _end_what_is_over(self) -> None:
        now = self._clock()
        over = [grant for grant in self._store.grants() if grant.state(now) != "active"]
        if over:
            with self._store.write(durable=True):
                for grant in over:
                    self._end(grant, BY_COUNT if grant.left == 0 else BY_TIME)

    def _end(self, grant: Grant, by: str) -> bool:
        ended = self._store.end_grant(grant.id, self._clock(), by)
        if ended:
            self._tell("grant_ended", grant, by=by)
            self._store.after_commit(self._write_file)
        return ended

    def _tell(self, kind: Any, grant: Grant, **data: Any) -> None:
        facts: dict[str, Any] = {"grant": grant.id, "tool": grant.tool}
        shown = {"summary": summary(grant.args), "profile": grant.profile}
        self._publish(kind, session=grant.session, call=grant.call, **facts, **shown, **data)
        who = {"session": grant.session, "profile": grant.profile, "granted_by": grant.granted_by}
        body = facts | who | data | args_for_audit(grant.args)
        self._store.append_audit(self._clock(), kind, grant.call, body)

    def _write_file(self) -> None:
        """Show what is remembered now; the store is what counts, so a full disk hurts nobody."""
        try:
            write_grants(self.file, self._store.grants(), self._clock())
        except OSError as error:
            logger.warning("cannot write %s: %s", self.file, error)


def rule_of(grant: Grant) -> str:
    """Return what is shown as the rule of a call that a grant let pass."""
    return f"grant {grant.id[:12]} by {grant.granted_by}: {grant.asked_by}"
