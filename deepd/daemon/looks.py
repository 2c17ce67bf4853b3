"""Looks: reads the files that held calls name as soon as their sandbox is there to be asked."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from deepd.daemon.attachment import Sessions
from deepd.daemon.named_files import Files, files_of
from deepd.errors import DeepdError
from deepd.model.approval import Approval
from deepd.model.ids import CallId, SessionName
from deepd.store.store import Store

logger = logging.getLogger(__name__)

_PATIENCE = 300.0
"""Seconds that a look waits for a sandbox; one that comes later is looked at then."""


class ShowAnew(Protocol):
    """Shows an approval again, with the files that it names."""

    def __call__(self, approval: Approval, files: Files) -> None: ...


class Looks:
    """One look for each held call of which the files are not known."""

    def __init__(self, store: Store, sessions: Sessions, show_anew: ShowAnew) -> None:
        self._store = store
        self._sessions = sessions
        self._show_anew = show_anew
        self._tasks: dict[CallId, asyncio.Task[None]] = {}
        self._is_closed = False
        sessions.on_attached(self._attached)

    def soon(self, approval: Approval) -> None:
        """Wake the session and look, where a held call names files that nobody has seen."""
        if Files.shown(approval.context).unknown and approval.id not in self._tasks:
            task = asyncio.create_task(self._look(approval.id), name=f"files of {approval.id}")
            self._tasks[approval.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(approval.id, None))

    async def aclose(self) -> None:
        """Look no more; what was not seen stays unknown, and is looked at before it runs."""
        self._is_closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _attached(self, session: SessionName, _live: Any) -> None:
        if self._is_closed:
            return
        for approval in self._store.approvals("pending"):
            if approval.session == session:
                self.soon(approval)

    async def _look(self, call_id: CallId) -> None:
        try:
            approval = self._store.approval(call_id)
            if approval is None:
                return
            live = await self._sessions.ready(approval.session, within=_PATIENCE)
            profile = self._sessions.profile_of(approval.session)
            files = await files_of(approval.tool, approval.args, profile, live)
            approval = self._store.approval(call_id)
            if approval is not None and approval.state == "pending" and not files.unknown:
                self._show_anew(approval, files)
        except DeepdError as error:
            logger.info("the files of held call %s are not known: %s", call_id, error)
