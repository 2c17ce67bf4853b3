"""PolicyService: what would be decided about a call that nobody makes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepd.daemon.attachment import Sessions
from deepd.daemon.backtest import Backtest, backtest
from deepd.daemon.profiles import ProfileStore
from deepd.daemon.proposal import Proposal, propose
from deepd.daemon.resolve import resolved_path
from deepd.errors import ArgumentsError
from deepd.model.approval import Approval
from deepd.model.ids import ProfileName, SessionName
from deepd.policy.explain import Explanation, explain
from deepd.store.store import Store


class PolicyService:
    """Questions to the profiles in force; nothing is stored and nothing runs."""

    def __init__(self, store: Store, profiles: ProfileStore, sessions: Sessions) -> None:
        self._store = store
        self._profiles = profiles
        self._sessions = sessions

    async def explain(
        self,
        tool: str,
        args: Mapping[str, Any],
        *,
        profile: ProfileName | None,
        session: SessionName | None,
    ) -> Explanation:
        """Return the decision on a call in a session, or by a profile where no sandbox is."""
        if session is None:
            if profile is None:
                raise ArgumentsError("name a session or a profile")
            return explain(self._profiles.get(profile), tool, args)
        live = self._sessions.live(session)
        resolved = await resolved_path(self._sessions.profile_of(session), tool, args, live)
        return explain(self._sessions.profile_of(session), tool, args, resolved)

    async def propose(self, approval: Approval) -> Proposal:
        """Return what may be remembered of an approval, and what else that would let pass."""
        return await propose(self._store, approval, self._sessions.profile_of(approval.session))

    async def backtest(
        self,
        *,
        file: Path | None,
        profile: ProfileName | None,
        of: ProfileName | None,
        since: float,
    ) -> Backtest:
        """Return what a profile would have said to the stored calls of one, most often itself."""
        if file is not None:
            changed = await asyncio.to_thread(self._profiles.read, file)
        elif profile is not None:
            changed = self._profiles.get(profile)
        else:
            raise ArgumentsError("name a file or a profile")
        return await backtest(self._store, changed, of or changed.name, since)
