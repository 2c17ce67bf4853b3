"""The asynchronous client: the same methods as the synchronous one, over asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from deepd.client import operation
from deepd.client.async_connection import AsyncPool
from deepd.client.http import NDJSON, LineParser, Reply, Request
from deepd.client.operation import Data, ExecReply, Json, Operation
from deepd.wire.octets import unpack_line

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
AsyncData = Data | AsyncIterator[bytes]


class AsyncClient:
    """Speaks to a daemon over its socket; for one event loop.

    `name` goes with every call, so that a person who decides sees who asks. `timeout` bounds the
    silence of the daemon in seconds; `None` waits as long as a held call is held. With a
    `session`, as `open_session` returned it, calls are for this very session: once it was removed
    they are refused with `GoneError`, and neither make nor reach another one of its name. With
    `cancel_when_gone` a call that is waited for ends, held or running, when its waiter does.
    """

    def __init__(
        self,
        socket_path: Path | str | None = None,
        *,
        name: str = "",
        timeout: float | None = None,
        session: Json | None = None,
        cancel_when_gone: bool = False,
    ) -> None:
        self._pool = AsyncPool(socket_path)
        self._headers = {"X-Deepd-Client": name} if name else {}
        if session is not None:
            self._headers["X-Deepd-Session-Made"] = repr(session["created_at"])
        if cancel_when_gone:
            self._headers["X-Deepd-When-Gone"] = "cancel"
        self._timeout = timeout

    @property
    def socket_path(self) -> str:
        """Where the daemon is expected."""
        return self._pool.path

    def close(self) -> None:
        """Close the connections that are kept for later; the client stays usable."""
        self._pool.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: Data | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """Ask and wait for the whole reply; raise the `DeepdError` that it reports."""
        request = operation.plain_request(method, path, json, body, headers)
        return await self._pool.exchange(self._named(request), timeout or self._timeout)

    def lines(
        self, method: str, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Json, None]:
        """Yield the values of an NDJSON stream as they come."""
        wanted = {"Accept": NDJSON, **(headers or {})}
        return self._lines(operation.plain_request(method, path, json, None, wanted))

    async def _run(self, asked: Operation[T], pieces: AsyncIterator[bytes] | None = None) -> T:
        patience = asked.patience(self._timeout)
        return asked.parse(await self._pool.exchange(self._named(asked.request), patience, pieces))

    def _pieces(self, request: Request) -> AsyncGenerator[bytes, None]:
        return self._pool.stream(self._named(request), self._timeout)

    async def _lines(self, request: Request) -> AsyncGenerator[Json, None]:
        parser = LineParser()
        async with aclosing(self._pool.stream(self._named(request), self._timeout)) as pieces:
            async for piece in pieces:
                for line in parser.feed(piece):
                    yield unpack_line(line)

    def _named(self, request: Request) -> Request:
        return request.with_headers(self._headers)

    async def health(self) -> Json:
        """Return whether daemon and engine are well; the cheapest question."""
        return await self._run(operation.health())

    async def info(self) -> Json:
        """Return versions, engine, paths, and counts."""
        return await self._run(operation.info())

    async def metrics(self) -> str:
        """Return Prometheus' text."""
        return await self._run(operation.metrics())

    async def stop_daemon(self, *, keep: bool = False) -> Json:
        """End the daemon; with `keep`, sandboxes go on without it."""
        return await self._run(operation.stop_daemon(keep=keep))

    async def profiles(self) -> list[Json]:
        """Return the state of each profile: name, file, state, revision, problems."""
        return await self._run(operation.profiles())

    async def profile(self, name: str) -> Json:
        """Return one profile's state, and under `profile` what it says."""
        return await self._run(operation.profile(name))

    async def reload(self) -> list[Json]:
        """Read the profiles again; return their states."""
        return await self._run(operation.reload())

    async def plan(self) -> list[Json]:
        """Return what a look would do now, each action with its cause."""
        return await self._run(operation.plan())

    async def explain(
        self,
        tool: str,
        args: Json,
        *,
        profile: str | None = None,
        session: str | None = None,
    ) -> Json:
        """Return what would be decided about a call, why, and what would change it."""
        return await self._run(operation.explain(tool, args, profile, session))

    async def backtest(
        self, *, file: str = "", profile: str = "", of: str = "", since: float = 0.0
    ) -> Json:
        """Return what a profile, or the one in a file, would have said to the stored calls."""
        return await self._run(operation.backtest(file, profile, of, since))

    async def sessions(self) -> list[Json]:
        """Return all sessions as `deepd ps` shows them."""
        return await self._run(operation.sessions())

    async def session(self, name: str) -> Json:
        """Return one session."""
        return await self._run(operation.session(name))

    async def open_session(self, name: str, profile: str | None = None) -> Json:
        """Get the session, or make it; without a profile the daemon finds the one there is."""
        return await self._run(operation.open_session(name, profile))

    async def close_session(self, name: str, *, purge: bool = False) -> None:
        """Remove session and sandbox; its workspace stays unless `purge`."""
        await self._run(operation.close_session(name, purge=purge))

    async def start(self, name: str) -> Json:
        """Want it running."""
        return await self._run(operation.change_session(name, "start"))

    async def stop(self, name: str) -> Json:
        """Stop it; a later `start` or none brings it back."""
        return await self._run(operation.change_session(name, "stop"))

    async def pause(self, name: str) -> Json:
        """Freeze its processes."""
        return await self._run(operation.change_session(name, "pause"))

    async def resume(self, name: str) -> Json:
        """Thaw it."""
        return await self._run(operation.change_session(name, "resume"))

    async def stats(self, name: str) -> Json:
        """Return what it uses now: cpu, memory, memory_limit, pids."""
        return await self._run(operation.stats(name))

    async def exec(
        self,
        session: str,
        command: str | Sequence[str],
        *,
        wait: bool = True,
        key: str | None = None,
        **options: Any,
    ) -> ExecReply:
        """Run a command to its end; an argument list runs without a shell.

        Options: profile, env, cwd, timeout, stdin, background, pty=(rows, cols). With
        `wait=False`, or in the background, the reply says where the call stands.
        """
        body = operation.execute_body(command, options)
        return await self._run(operation.execute(session, body, key=key, wait=wait))

    def exec_stream(
        self,
        session: str,
        command: str | Sequence[str],
        *,
        key: str | None = None,
        **options: Any,
    ) -> AsyncGenerator[Json, None]:
        """Run a command; yield lines of kind `call`, `held`, `output` (with `data`), `end`."""
        body = operation.execute_body(command, options)
        return self._lines(operation.execute_lines(session, body, key=key))

    async def submit(
        self,
        session: str,
        tool: str,
        args: Json,
        *,
        wait: bool = True,
        key: str | None = None,
        **options: Any,
    ) -> Json:
        """Make any call; options: profile, timeout, background. Returns the call, also denied."""
        body = {"tool": tool, "args": args, **options}
        return await self._run(operation.submit(session, body, key=key, wait=wait))

    async def calls(
        self, session: str | None = None, *, open_only: bool = False, limit: int = 100
    ) -> list[Json]:
        """Return calls, the newest first."""
        return await self._run(operation.calls(session, open_only=open_only, limit=limit))

    async def call(self, call_id: str, *, wait: float | None = None) -> Json:
        """Return one call by id or unique prefix, after at most `wait` seconds for its end."""
        return await self._run(operation.call(call_id, wait))

    def output(
        self, call_id: str, *, after: int = 0, follow: bool = False
    ) -> AsyncGenerator[Json, None]:
        """Yield what it printed from an offset on: offset, stream, `data`; then the `end` line."""
        return self._lines(operation.output_lines(call_id, after=after, follow=follow))

    async def cancel(self, call_id: str, reason: str = "") -> Json:
        """End a call that is held or runs."""
        return await self._run(operation.cancel(call_id, reason))

    async def stdin(self, call_id: str, data: bytes, *, eof: bool = False) -> None:
        """Write to the stdin of a call that runs."""
        await self._run(operation.stdin(call_id, data, eof=eof))

    async def resize(self, call_id: str, rows: int, cols: int) -> None:
        """Tell a call's pty its size."""
        await self._run(operation.resize(call_id, rows, cols))

    async def read(
        self, session: str, path: str, *, offset: int = 0, size: int | None = None
    ) -> bytes:
        """Return a file's bytes, or a part of them."""
        return await self._run(operation.read(session, path, offset, size))

    def download(
        self, session: str, path: str, *, offset: int = 0, size: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield a file's bytes piece by piece; of any size."""
        return self._pieces(operation.download(session, path, offset, size))

    async def write(
        self,
        session: str,
        path: str,
        data: AsyncData,
        *,
        size: int | None = None,
        mode: int | None = None,
        append: bool = False,
    ) -> Json:
        """Write a file at once or from pieces; replaces it atomically. Returns path and size."""
        whole, pieces = _split(data)
        asked = operation.write(session, path, whole, size=size, mode=mode, append=append)
        return await self._run(asked, pieces)

    async def edit(
        self, session: str, path: str, old: str, new: str, *, replace_all: bool = False
    ) -> Json:
        """Replace text in a file; returns path and occurrences."""
        return await self._run(operation.edit(session, path, old, new, replace_all=replace_all))

    async def stat(self, session: str, path: str) -> Json:
        """Return one path's FileStat."""
        return await self._run(operation.stat(session, path))

    async def realpath(self, session: str, path: str) -> str:
        """Return where a path leads, whether something is there or not."""
        return await self._run(operation.realpath(session, path))

    async def mkdir(self, session: str, path: str) -> Json:
        """Make a folder and those above it; returns its path."""
        return await self._run(operation.mkdir(session, path))

    async def remove(self, session: str, path: str, *, recursive: bool = False) -> Json:
        """Remove a file or an empty folder, or with `recursive` all that is in it."""
        return await self._run(operation.remove(session, path, recursive=recursive))

    async def rename(self, session: str, path: str, to: str) -> Json:
        """Move a file or a folder, in place of what is there."""
        return await self._run(operation.rename(session, path, to))

    async def ls(self, session: str, path: str = ".", *, follow: bool = False) -> list[Json]:
        """Return a folder's entries; with `follow` what its links lead to."""
        return await self._run(operation.ls(session, path, follow=follow))

    async def glob(
        self, session: str, pattern: str, path: str = ".", *, hidden: bool = False
    ) -> list[Json]:
        """Return what matches, `**` at any depth."""
        return await self._run(operation.glob(session, pattern, path, hidden=hidden))

    async def grep(
        self,
        session: str,
        pattern: str,
        path: str = ".",
        *,
        glob: str | None = None,
        hidden: bool = False,
    ) -> list[Json]:
        """Return matching lines: path, line_number, line."""
        return await self._run(operation.grep(session, pattern, path, glob, hidden=hidden))

    def get_archive(self, session: str, path: str) -> AsyncGenerator[bytes, None]:
        """Yield a tar of a file or folder."""
        return self._pieces(operation.get_archive(session, path))

    async def put_archive(
        self, session: str, path: str, data: AsyncData, *, size: int | None = None
    ) -> Json:
        """Unpack a tar into a folder."""
        whole, pieces = _split(data)
        return await self._run(operation.put_archive(session, path, whole, size), pieces)

    async def approvals(self, state: str = "pending") -> list[Json]:
        """Return approvals in a state, or `all`."""
        return await self._run(operation.approvals(state))

    async def approval(self, approval_id: str) -> Json:
        """Return one approval by id or unique prefix."""
        return await self._run(operation.approval(approval_id))

    async def proposal(self, approval_id: str) -> Json:
        """Return what may be remembered of an approval, and what else that would let pass."""
        return await self._run(operation.proposal(approval_id))

    async def grants(self, session: str = "", *, ended: bool = False) -> list[Json]:
        """Return what is remembered, the newest first; with `ended` also what was."""
        return await self._run(operation.grants(session, ended=ended))

    async def revoke_grant(self, grant_id: str) -> Json:
        """End a grant by its id, or a unique beginning of it."""
        return await self._run(operation.revoke_grant(grant_id))

    async def revoke_grants(self, session: str = "") -> list[Json]:
        """End all grants, or those that were given in a session."""
        return await self._run(operation.revoke_grants(session))

    async def decide(
        self,
        approval_id: str,
        *,
        approve: bool,
        fingerprint: str,
        args: Json | None = None,
        reason: str = "",
        stop: bool = False,
        remember: Json | None = None,
    ) -> Json:
        """Answer what waits; `fingerprint` says what was shown, `args` are in place of those.

        `remember` lets exactly such calls pass from then on: `{"scope": "session" or "profile"}`,
        with a `count` of them or an end `until` (seconds since the epoch), where either is wanted.
        """
        body = operation.decision_body(
            approve=approve, args=args, reason=reason, stop=stop, remember=remember
        )
        return await self._run(operation.decide(approval_id, fingerprint, body))

    async def audit(self, *, after: int = 0, limit: int = 1000) -> list[Json]:
        """Return rows of the audit trail with a greater number than `after`, in their order."""
        return await self._run(operation.audit(after, limit))

    def events(
        self, after: int | None = None, *, follow: bool = False, session: str = ""
    ) -> AsyncGenerator[Json, None]:
        """Yield events with a greater number than `after`; a slow reader gets a `dropped` line."""
        return self._lines(operation.events(after, follow=follow, session=session))

    def logs(
        self,
        session: str,
        *,
        follow: bool = False,
        search: str = "",
        after: int | None = None,
        limit: int | None = None,
        newest: int | None = None,
    ) -> AsyncGenerator[Json, None]:
        """Yield a session's log lines; the search runs in the daemon.

        With `newest`, of what comes in each tenth of a second only so many lines are sent, after
        one of kind `skipped` that counts the others.
        """
        return self._lines(
            operation.logs(
                session, follow=follow, search=search, after=after, limit=limit, newest=newest
            )
        )


def _split(data: AsyncData) -> tuple[Data, AsyncIterator[bytes] | None]:
    """Return what a request may hold, and beside it the pieces that only a loop can wait for."""
    if isinstance(data, bytes | str | Iterable):
        return data, None
    return (), data
