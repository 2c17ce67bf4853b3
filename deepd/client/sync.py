"""The synchronous client: standard library only, so that a command starts in no time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from deepd.client import operation
from deepd.client.connection import Pool
from deepd.client.http import NDJSON, LineParser, Reply, Request
from deepd.client.operation import Data, ExecReply, Json, Operation
from deepd.wire.octets import unpack_line

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")


class Client:
    """Speaks to a daemon over its socket; may be shared by threads.

    `name` goes with every call, so that a person who decides sees who asks. `timeout` bounds the
    silence of the daemon in seconds; `None` waits as long as a held call is held.
    """

    def __init__(
        self, socket_path: Path | str | None = None, *, name: str = "", timeout: float | None = None
    ) -> None:
        self._pool = Pool(socket_path)
        self._headers = {"X-Deepd-Client": name} if name else {}
        self._timeout = timeout

    @property
    def socket_path(self) -> str:
        """Where the daemon is expected."""
        return self._pool.path

    def close(self) -> None:
        """Close the connections that are kept for later; the client stays usable."""
        self._pool.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def request(
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
        return self._pool.exchange(self._named(request), timeout or self._timeout)

    def lines(
        self, method: str, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[Json]:
        """Yield the values of an NDJSON stream as they come."""
        wanted = {"Accept": NDJSON, **(headers or {})}
        return self._lines(operation.plain_request(method, path, json, None, wanted))

    def _run(self, asked: Operation[T]) -> T:
        patience = asked.patience(self._timeout)
        return asked.parse(self._pool.exchange(self._named(asked.request), patience))

    def _pieces(self, request: Request) -> Iterator[bytes]:
        return self._pool.stream(self._named(request), self._timeout)

    def _lines(self, request: Request) -> Iterator[Json]:
        parser = LineParser()
        for piece in self._pool.stream(self._named(request), self._timeout):
            for line in parser.feed(piece):
                yield unpack_line(line)

    def _named(self, request: Request) -> Request:
        return request.with_headers(self._headers)

    def health(self) -> Json:
        """Return whether daemon and engine are well; the cheapest question."""
        return self._run(operation.health())

    def info(self) -> Json:
        """Return versions, engine, paths, and counts."""
        return self._run(operation.info())

    def metrics(self) -> str:
        """Return Prometheus' text."""
        return self._run(operation.metrics())

    def stop_daemon(self, *, keep: bool = False) -> Json:
        """End the daemon; with `keep`, sandboxes go on without it."""
        return self._run(operation.stop_daemon(keep=keep))

    def profiles(self) -> list[Json]:
        """Return the state of each profile: name, file, state, revision, problems."""
        return self._run(operation.profiles())

    def profile(self, name: str) -> Json:
        """Return one profile's state, and under `profile` what it says."""
        return self._run(operation.profile(name))

    def reload(self) -> list[Json]:
        """Read the profiles again; return their states."""
        return self._run(operation.reload())

    def plan(self) -> list[Json]:
        """Return what a look would do now, each action with its cause."""
        return self._run(operation.plan())

    def explain(
        self,
        tool: str,
        args: Json,
        *,
        profile: str | None = None,
        session: str | None = None,
    ) -> Json:
        """Return what would be decided about a call, why, and what would change it."""
        return self._run(operation.explain(tool, args, profile, session))

    def backtest(
        self, *, file: str = "", profile: str = "", of: str = "", since: float = 0.0
    ) -> Json:
        """Return what a profile, or the one in a file, would have said to the stored calls."""
        return self._run(operation.backtest(file, profile, of, since))

    def sessions(self) -> list[Json]:
        """Return all sessions as `deepd ps` shows them."""
        return self._run(operation.sessions())

    def session(self, name: str) -> Json:
        """Return one session."""
        return self._run(operation.session(name))

    def open_session(self, name: str, profile: str | None = None) -> Json:
        """Get the session, or make it; without a profile the daemon finds the one there is."""
        return self._run(operation.open_session(name, profile))

    def close_session(self, name: str, *, purge: bool = False) -> None:
        """Remove session and sandbox; its workspace stays unless `purge`."""
        self._run(operation.close_session(name, purge=purge))

    def start(self, name: str) -> Json:
        """Want it running."""
        return self._run(operation.change_session(name, "start"))

    def stop(self, name: str) -> Json:
        """Stop it; a later `start` or none brings it back."""
        return self._run(operation.change_session(name, "stop"))

    def pause(self, name: str) -> Json:
        """Freeze its processes."""
        return self._run(operation.change_session(name, "pause"))

    def resume(self, name: str) -> Json:
        """Thaw it."""
        return self._run(operation.change_session(name, "resume"))

    def stats(self, name: str) -> Json:
        """Return what it uses now: cpu, memory, memory_limit, pids."""
        return self._run(operation.stats(name))

    def exec(
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
        return self._run(operation.execute(session, body, key=key, wait=wait))

    def exec_stream(
        self, session: str, command: str | Sequence[str], *, key: str | None = None, **options: Any
    ) -> Iterator[Json]:
        """Run a command; yield lines of kind `call`, `held`, `output` (with `data`), `end`."""
        body = operation.execute_body(command, options)
        return self._lines(operation.execute_lines(session, body, key=key))

    def submit(
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
        return self._run(operation.submit(session, body, key=key, wait=wait))

    def calls(
        self, session: str | None = None, *, open_only: bool = False, limit: int = 100
    ) -> list[Json]:
        """Return calls, the newest first."""
        return self._run(operation.calls(session, open_only=open_only, limit=limit))

    def call(self, call_id: str, *, wait: float | None = None) -> Json:
        """Return one call by id or unique prefix, after at most `wait` seconds for its end."""
        return self._run(operation.call(call_id, wait))

    def output(self, call_id: str, *, after: int = 0, follow: bool = False) -> Iterator[Json]:
        """Yield what it printed from an offset on: offset, stream, `data`; then the `end` line."""
        return self._lines(operation.output_lines(call_id, after=after, follow=follow))

    def cancel(self, call_id: str, reason: str = "") -> Json:
        """End a call that is held or runs."""
        return self._run(operation.cancel(call_id, reason))

    def stdin(self, call_id: str, data: bytes, *, eof: bool = False) -> None:
        """Write to the stdin of a call that runs."""
        self._run(operation.stdin(call_id, data, eof=eof))

    def resize(self, call_id: str, rows: int, cols: int) -> None:
        """Tell a call's pty its size."""
        self._run(operation.resize(call_id, rows, cols))

    def read(self, session: str, path: str, *, offset: int = 0, size: int | None = None) -> bytes:
        """Return a file's bytes, or a part of them."""
        return self._run(operation.read(session, path, offset, size))

    def download(
        self, session: str, path: str, *, offset: int = 0, size: int | None = None
    ) -> Iterator[bytes]:
        """Yield a file's bytes piece by piece; of any size."""
        return self._pieces(operation.download(session, path, offset, size))

    def write(
        self,
        session: str,
        path: str,
        data: Data,
        *,
        size: int | None = None,
        mode: int | None = None,
        append: bool = False,
    ) -> Json:
        """Write a file at once or from pieces; replaces it atomically. Returns path and size."""
        return self._run(operation.write(session, path, data, size=size, mode=mode, append=append))

    def edit(
        self, session: str, path: str, old: str, new: str, *, replace_all: bool = False
    ) -> Json:
        """Replace text in a file; returns path and occurrences."""
        return self._run(operation.edit(session, path, old, new, replace_all=replace_all))

    def stat(self, session: str, path: str) -> Json:
        """Return one path's FileStat."""
        return self._run(operation.stat(session, path))

    def realpath(self, session: str, path: str) -> str:
        """Return where a path leads, whether something is there or not."""
        return self._run(operation.realpath(session, path))

    def mkdir(self, session: str, path: str) -> Json:
        """Make a folder and those above it; returns its path."""
        return self._run(operation.mkdir(session, path))

    def remove(self, session: str, path: str, *, recursive: bool = False) -> Json:
        """Remove a file or an empty folder, or with `recursive` all that is in it."""
        return self._run(operation.remove(session, path, recursive=recursive))

    def rename(self, session: str, path: str, to: str) -> Json:
        """Move a file or a folder, in place of what is there."""
        return self._run(operation.rename(session, path, to))

    def ls(self, session: str, path: str = ".", *, follow: bool = False) -> list[Json]:
        """Return a folder's entries; with `follow` what its links lead to."""
        return self._run(operation.ls(session, path, follow=follow))

    def glob(
        self, session: str, pattern: str, path: str = ".", *, hidden: bool = False
    ) -> list[Json]:
        """Return what matches, `**` at any depth."""
        return self._run(operation.glob(session, pattern, path, hidden=hidden))

    def grep(
        self,
        session: str,
        pattern: str,
        path: str = ".",
        *,
        glob: str | None = None,
        hidden: bool = False,
    ) -> list[Json]:
        """Return matching lines: path, line_number, line."""
        return self._run(operation.grep(session, pattern, path, glob, hidden=hidden))

    def get_archive(self, session: str, path: str) -> Iterator[bytes]:
        """Yield a tar of a file or folder."""
        return self._pieces(operation.get_archive(session, path))

    def put_archive(self, session: str, path: str, data: Data, *, size: int | None = None) -> Json:
        """Unpack a tar into a folder."""
        return self._run(operation.put_archive(session, path, data, size))

    def approvals(self, state: str = "pending") -> list[Json]:
        """Return approvals in a state, or `all`."""
        return self._run(operation.approvals(state))

    def approval(self, approval_id: str) -> Json:
        """Return one approval by id or unique prefix."""
        return self._run(operation.approval(approval_id))

    def proposal(self, approval_id: str) -> Json:
        """Return what may be remembered of an approval, and what else that would let pass."""
        return self._run(operation.proposal(approval_id))

    def grants(self, session: str = "", *, ended: bool = False) -> list[Json]:
        """Return what is remembered, the newest first; with `ended` also what was."""
        return self._run(operation.grants(session, ended=ended))

    def revoke_grant(self, grant_id: str) -> Json:
        """End a grant by its id, or a unique beginning of it."""
        return self._run(operation.revoke_grant(grant_id))

    def revoke_grants(self, session: str = "") -> list[Json]:
        """End all grants, or those that were given in a session."""
        return self._run(operation.revoke_grants(session))

    def decide(
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
        return self._run(operation.decide(approval_id, fingerprint, body))

    def audit(self, *, after: int = 0, limit: int = 1000) -> list[Json]:
        """Return rows of the audit trail with a greater number than `after`, in their order."""
        return self._run(operation.audit(after, limit))

    def events(
        self, after: int | None = None, *, follow: bool = False, session: str = ""
    ) -> Iterator[Json]:
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
    ) -> Iterator[Json]:
        """Yield a session's log lines; the search runs in the daemon.

        With `newest`, of what comes in each tenth of a second only so many lines are sent, after
        one of kind `skipped` that counts the others.
        """
        return self._lines(
            operation.logs(
                session, follow=follow, search=search, after=after, limit=limit, newest=newest
            )
        )
