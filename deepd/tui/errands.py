"""Errands: what the app does with the client on behalf of its screens."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from deepd.client.async_ import AsyncClient
from deepd.client.http import segment
from deepd.errors import DeepdError, GoneError
from deepd.model.visible import visible
from deepd.tui.file_change import Body, Current
from deepd.tui.messages import Verb
from deepd.tui.world import Json

PATIENCE = 20.0
MOST_SHOWN = 1 << 20
"""Bytes of a file beyond which no change is worked out."""
_ENDED = frozenset({"finished", "failed", "denied", "cancelled", "lost", "timed_out", "expired"})


async def refusal(asked: Awaitable[object]) -> str:
    """Wait for an answer; return why it was a refusal, or nothing."""
    try:
        async with asyncio.timeout(PATIENCE):
            await asked
    except DeepdError as error:
        return f"{error.detail}\n{error.next_step}" if error.next_step else error.detail
    except TimeoutError:
        return f"the daemon did not answer within {PATIENCE:g} s; look again before you repeat it"
    except OSError as error:
        return str(error)
    return ""


class Errands:
    """One method for each thing that takes an answer from the daemon."""

    def __init__(
        self, client: AsyncClient, *, read_only: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._read_only = read_only
        self._clock = clock

    async def approve(self, approval: Json, args: Json | None = None) -> str:
        """Let exactly what was shown run, or these arguments; return a refusal."""
        return await refusal(
            self._client.decide(
                approval["id"], approve=True, fingerprint=approval["fingerprint"], args=args
            )
        )

    async def approve_and_remember(self, approval: Json, remember: Json) -> str:
        """Let it run, and such calls from then on; return a refusal."""
        return await refusal(
            self._client.decide(
                approval["id"],
                approve=True,
                fingerprint=approval["fingerprint"],
                remember=remember,
            )
        )

    async def deny(self, approval: Json, reason: str, *, stop: bool) -> str:
        """Refuse it; return why that was not taken."""
        return await refusal(
            self._client.decide(
                approval["id"],
                approve=False,
                fingerprint=approval["fingerprint"],
                reason=reason,
                stop=stop,
            )
        )

    async def proposal(self, approval: Json) -> Json:
        """Return what may be remembered of a held call."""
        async with asyncio.timeout(PATIENCE):
            return await self._client.proposal(approval["id"])

    async def change_session(self, name: str, verb: Verb) -> str:
        """Want something else of a session; return a refusal."""
        match verb:
            case "start":
                return await refusal(self._client.start(name))
            case "stop":
                return await refusal(self._client.stop(name))
            case "pause":
                return await refusal(self._client.pause(name))
            case "resume":
                return await refusal(self._client.resume(name))
            case "remove":
                return await refusal(self._client.close_session(name))

    async def file_of(self, approval: Json) -> tuple[Current, Body | None]:
        """Return the file that a held call would change, and what it would write."""
        has_body = bool((approval.get("context") or {}).get("body"))
        body = await self._body(approval["id"]) if has_body else None
        return await self._current(approval), body

    async def _body(self, call_id: str) -> Body:
        try:
            async with asyncio.timeout(PATIENCE):
                reply = await self._client.request("GET", f"/v1/calls/{segment(call_id)}/body")
        except (DeepdError, OSError, TimeoutError) as error:
            return Body(why=f"its content cannot be shown: {error}")
        try:
            return Body(reply.body.decode())
        except UnicodeDecodeError:
            return Body(why=f"its content is no text: {len(reply.body)} bytes, by their hash below")

    async def _current(self, approval: Json) -> Current:
        if self._read_only:
            return Current(why="the file as it is now is not read: --read-only makes no calls")
        try:
            async with asyncio.timeout(PATIENCE):
                if await self._is_read_held(approval["profile"]):
                    why = "the file as it is now is not shown: the profile holds read_file too"
                    return Current(why=why)
                return await self._read(approval["session"], str(approval["args"].get("path", "")))
        except TimeoutError:
            return Current(why=f"the file as it is now did not come within {PATIENCE:g} s")
        except (DeepdError, OSError) as error:
            return Current(why=f"the file as it is now cannot be shown: {error}")

    async def _is_read_held(self, profile: str) -> bool:
        """Whether a read might itself wait for a person: then none is made."""
        found = (await self._client.profile(profile)).get("profile") or {}
        return any(
            fnmatchcase("read_file", policy["tool"])
            and (policy["default"] != "allow" or policy.get("rules"))
            for policy in found.get("interrupt_on") or ()
        )

    async def _read(self, session: str, path: str) -> Current:
        args = {"path": path, "limit": MOST_SHOWN + 1}
        call = await self._client.submit(session, "read_file", args, wait=False)
        if call["state"] == "held":
            await self._client.cancel(call["id"], "the dashboard only wanted to look")
            return Current(why="the file as it is now is not shown: read_file is held too")
        while call["state"] not in _ENDED:
            call = await self._client.call(call["id"], wait=PATIENCE)
        if call["state"] != "finished":
            problem: Json = (call.get("result") or {}).get("error") or {}
            if problem.get("errno") == "ENOENT":
                return Current("", exists=False, at=self._clock())
            why = problem.get("detail") or call.get("reason") or call["state"]
            return Current(why=f"the file as it is now cannot be read: {why}")
        return await self._content(call["id"])

    async def _content(self, call_id: str) -> Current:
        pieces = [line["data"] async for line in self._client.output(call_id) if "data" in line]
        data = b"".join(pieces)
        if len(data) > MOST_SHOWN:
            return Current(why="the file as it is now is larger than 1 MiB: no change is shown")
        try:
            return Current(data.decode(), at=self._clock())
        except UnicodeDecodeError:
            return Current(why="the file as it is now is no text: no change is shown")

    async def plan(self) -> list[Json]:
        """Return what a reload would do."""
        async with asyncio.timeout(PATIENCE):
            return await self._client.plan()

    async def reload(self) -> str:
        """Read the profiles again; return a refusal."""
        return await refusal(self._client.reload())

    async def export(self, session: str, folder: Path) -> Path:
        """Write all that is kept of a session's life and output to a new file.

        What a terminal would obey is spelled out, so that the file may be shown in one.
        """
        path = folder / f"deepd-{session}-{time.strftime('%Y%m%d-%H%M%S')}.log"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            async with aclosing(self._events(session)) as events:
                async for event in events:
                    facts = " ".join(f"{key}={value}" for key, value in event["data"].items())
                    at = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(event["at"]))
                    file.write(f"{at} {event['kind']} {visible(facts, one_line=True)}\n")
                    if event["kind"] == "call_started":
                        await self._export_output(event["call"], file)
        return path

    async def _events(self, session: str) -> Any:
        """Yield the session's events from the first one that is kept."""
        try:
            async for event in self._client.events(0, session=session):
                yield event
        except GoneError:
            async for event in self._client.events(session=session):
                yield event

    async def _export_output(self, call_id: str, file: Any) -> None:
        rest = b""
        try:
            async for line in self._client.output(call_id):
                *whole, rest = (rest + line.get("data", b"")).split(b"\n")
                file.writelines(_readable(text) for text in whole)
        except DeepdError as error:
            file.write(f"({visible(str(error), one_line=True)})\n")
        if rest:
            file.write(_readable(rest))


def _readable(line: bytes) -> str:
    return visible(line.decode(errors="surrogateescape")).replace("\n", "\\u{a}") + "\n"
