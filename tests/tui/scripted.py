"""A daemon that is a script: a client that answers the same each time, and a dashboard on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from deepd.client.async_ import AsyncClient
from deepd.errors import DaemonDownError
from deepd.tui.app import Dashboard
from deepd.tui.world import Json
from tests.tui.world import Desk

NOW = 1_790_085_731.0
"""14:02:11, where the clock is set to UTC."""
FOLDER = "/srv/agents"
PLAN = (
    ("update", "user-123    idle_timeout 15m -> 30m", "live"),
    ("recreate", "user-124    image python:3.12-slim -> python:3.13-slim", "recreate when idle"),
    ("create", "warm-1      warm 0 -> 1", "too few warm sandboxes"),
)


@dataclass
class Script:
    """What the daemon says, all of it."""

    sessions: list[Json] = field(default_factory=list)
    approvals: list[Json] = field(default_factory=list)
    calls: list[Json] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    profiles: list[Json] = field(default_factory=list)
    logs: dict[str, list[Json]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    is_up: bool = True
    leaves: bool = False
    """Whether the daemon goes away after it has said all of this."""


class ScriptedClient:
    """Answers what a dashboard asks as a script has it."""

    socket_path = "/run/user/1000/deepd/deepd.sock"

    def __init__(self, script: Script) -> None:
        self._script = script
        self._looks = 0

    def close(self) -> None:
        """Do nothing."""

    async def info(self) -> Json:
        """Say who the daemon is, or that it is gone."""
        self._looks += 1
        if not self._script.is_up or (self._script.leaves and self._looks > 2):
            raise DaemonDownError(
                f"no daemon answers at {self.socket_path}", next_step="deepd start -c PROFILE"
            )
        return {
            "instance": "57065878",
            "engine": {"name": "docker", "state": "up"},
            "profiles": self._script.profiles,
            "last_event": len(self._script.events),
        }

    async def sessions(self) -> list[Json]:
        """Return the script's."""
        return self._script.sessions

    async def approvals(self) -> list[Json]:
        """Return the script's."""
        return self._script.approvals

    async def calls(self, limit: int) -> list[Json]:
        """Return the script's."""
        return self._script.calls[:limit]

    async def stats(self, name: str) -> Json:
        """Return what each uses, in steps by its place."""
        place = [item["name"] for item in self._script.sessions].index(name)
        used = (38 - 7 * place) << 20
        return {"cpu": 0.001 + place * 0.31, "memory": used, "memory_limit": 1 << 30}

    async def profile(self, name: str) -> Json:
        """Return a profile under which reads are free."""
        return {"profile": {"interrupt_on": [{"tool": "execute", "default": "ask", "rules": []}]}}

    async def proposal(self, approval_id: str) -> Json:
        """Return a rule that would mean more than the call."""
        command = {"tool": "execute", "args": {"command": "git push --tags"}}
        return {
            "scopes": ["session", "profile"],
            "looked_at": 41,
            "grant_count": 2,
            "edits": [{"text": 'allow = ["git push *"]'}],
            "rule_calls": [command],
            "rule_count": 1,
        }

    async def plan(self) -> list[Json]:
        """Return one change of each kind."""
        common = {"profile": "strict", "file": f"{FOLDER}/strict.toml"}
        return [
            common | {"action": action, "text": text, "cause": cause}
            for action, text, cause in PLAN
        ]

    async def submit(self, name: str, tool: str, args: Json, *, wait: bool) -> Json:
        """Read a file at once."""
        exists = args["path"] in self._script.files
        problem = {} if exists else {"error": {"errno": "ENOENT", "detail": "no such file"}}
        state = "finished" if exists else "failed"
        return {"id": args["path"], "state": state, "result": problem}

    async def output(self, call_id: str) -> AsyncGenerator[Json, None]:
        """Yield what the file has."""
        yield {"data": self._script.files[call_id].encode()}

    async def events(self, after: int, *, follow: bool) -> AsyncGenerator[Json, None]:
        """Yield the script's, and wait for more that never come."""
        for item in self._script.events[after:]:
            yield item
        await asyncio.Event().wait()

    async def logs(self, name: str, **_: Any) -> AsyncGenerator[Json, None]:
        """Yield the script's, and wait for more that never come."""
        for item in self._script.logs.get(name, ()):
            yield item
        await asyncio.Event().wait()


@asynccontextmanager
async def scene(
    script: Script, *, size: tuple[int, int] = (120, 30), **options: Any
) -> AsyncIterator[Desk]:
    """Show a script in a dashboard whose clock stands still."""
    client = cast("AsyncClient", ScriptedClient(script))
    app = Dashboard(client, clock=lambda: NOW, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        desk = Desk(app, pilot)
        await desk.until(lambda: app.world.loaded or app.world.trouble)
        await desk.until(lambda: len(app.world.events) == len(script.events))
        if script.leaves:
            app.feed.wake()
        yield desk
