"""Operations: what each named method of the clients asks, and how its answer is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from deepd.client.http import RAW_LINES, Reply, Request, json_request, segment, target
from deepd.wire.octets import unpack

if TYPE_CHECKING:
    from deepd.client.http import Query

T = TypeVar("T")
Json = dict[str, Any]
Data = bytes | str | Iterable[bytes]


class Operation(Generic[T]):
    """One request, and how its reply becomes a value."""

    __slots__ = ("parse", "request", "timeout")

    def __init__(
        self, request: Request, parse: Callable[[Reply], T], timeout: float | None = None
    ) -> None:
        self.request = request
        self.parse = parse
        self.timeout = timeout
        """How long the daemon itself may take on purpose."""

    def patience(self, own: float | None) -> float | None:
        """Return how long a client waits that has `own` patience for a daemon's silence."""
        return own if own is None else own + (self.timeout or 0.0)


class ExecReply(NamedTuple):
    """What an `execute` came to, or where it stands when nobody waited for its end."""

    call: Json
    """The stored call, with `id`, `state`, `rule`, `reason`, `exit_code`."""
    exit_code: int | None
    stdout: bytes
    stderr: bytes
    output: bytes
    """Both in the order of arrival; the part that is kept."""
    truncated: bool

    @property
    def id(self) -> str:
        """The call's id."""
        return str(self.call["id"])

    @property
    def state(self) -> str:
        """The call's state: `finished` when it ran to its end, `held` when it waits."""
        return str(self.call["state"])


def new_key() -> str:
    """Return a key that makes a repeated request the same call."""
    return os.urandom(16).hex()


def _json_of(reply: Reply) -> Any:
    return reply.json()


def _get(path: str, query: Query | None = None) -> Operation[Any]:
    return Operation(Request("GET", target(path, query)), _json_of)


def _list(path: str, key: str, query: Query | None = None) -> Operation[list[Json]]:
    return Operation(Request("GET", target(path, query)), lambda reply: reply.json()[key])


def _post(
    path: str, value: Json | None = None, headers: Mapping[str, str] | None = None
) -> Operation[Any]:
    return Operation(json_request("POST", path, value, headers), _json_of)


def plain_request(
    method: str, where: str, value: Any, body: Data | None, headers: Mapping[str, str] | None
) -> Request:
    """Return the request for what has no name of its own."""
    if value is not None or body is None:
        return json_request(method, where, value, headers)
    return Request(method, where, headers or {}, body.encode() if isinstance(body, str) else body)


def stream_request(where: str, query: Query | None = None) -> Request:
    """Return the request for lines that come as things happen."""
    return Request("GET", target(where, query), {"Accept": RAW_LINES})


# The daemon as a whole.


def health() -> Operation[Json]:
    return _get("/v1/health")


def info() -> Operation[Json]:
    return _get("/v1/info")


def metrics() -> Operation[str]:
    return Operation(Request("GET", "/metrics"), lambda reply: reply.body.decode())


def stop_daemon(*, keep: bool) -> Operation[Json]:
    return _post("/v1/stop", {"keep": keep})


def profiles() -> Operation[list[Json]]:
    return _list("/v1/profiles", "profiles")


def profile(name: str) -> Operation[Json]:
    return _get(f"/v1/profiles/{segment(name)}")


def reload() -> Operation[list[Json]]:
    return Operation(json_request("POST", "/v1/reload"), lambda reply: reply.json()["profiles"])


def plan() -> Operation[list[Json]]:
    return _list("/v1/plan", "actions")


# Sessions.


def _session(name: str, rest: str = "") -> str:
    return f"/v1/sessions/{segment(name)}{rest}"


def sessions() -> Operation[list[Json]]:
    return _list("/v1/sessions", "sessions")


def session(name: str) -> Operation[Json]:
    return _get(_session(name))


def open_session(name: str, profile: str | None) -> Operation[Json]:
    return _post("/v1/sessions", {"name": name, "profile": profile})


def close_session(name: str, *, purge: bool) -> Operation[None]:
    request = Request("DELETE", target(_session(name), {"purge": purge}))
    return Operation(request, lambda _: None)


def change_session(name: str, verb: str) -> Operation[Json]:
    """`verb` is start, stop, pause or resume."""
    return _post(_session(name, f"/{verb}"))


def stats(name: str) -> Operation[Json]:
    return _get(_session(name, "/stats"))


# Calls.


def execute_body(command: str | Sequence[str], options: Mapping[str, Any]) -> Json:
    """Return the body of an exec: options that were not given are not in it."""
    named: Json = {"command": command} if isinstance(command, str) else {"argv": list(command)}
    stdin = options.get("stdin")
    if isinstance(stdin, bytes):
        options = {**options, "stdin": _text(stdin)}
    pty = options.get("pty")
    if pty is not None:
        options = {**options, "pty": {"rows": pty[0], "cols": pty[1]}}
    return named | {key: value for key, value in options.items() if value not in (None, False, {})}


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError(
            "stdin given at once must be UTF-8; send other bytes with `stdin()`"
        ) from None


def _call_headers(key: str | None, *, wait: bool) -> dict[str, str]:
    headers = {"Idempotency-Key": key or new_key()}
    return headers if wait else {**headers, "Prefer": "respond-async"}


def execute(
    name: str, body: Json, *, key: str | None = None, wait: bool = True
) -> Operation[ExecReply]:
    request = json_request("POST", _session(name, "/exec"), body, _call_headers(key, wait=wait))
    return Operation(request, _exec_reply, None)


def execute_lines(name: str, body: Json, *, key: str | None = None) -> Request:
    headers = {**_call_headers(key, wait=True), "Accept": RAW_LINES}
    return json_request("POST", _session(name, "/exec"), body, headers)


def _exec_reply(reply: Reply) -> ExecReply:
    value = reply.json()
    call = value.get("call") or value
    stdout, stderr, output = (
        unpack(value[key]) if key in value else b"" for key in ("stdout", "stderr", "output")
    )
    return ExecReply(call, call["exit_code"], stdout, stderr, output, bool(call["truncated"]))


def submit(name: str, body: Json, *, key: str | None, wait: bool) -> Operation[Json]:
    return _post(_session(name, "/calls"), body, _call_headers(key, wait=wait))


def calls(session: str | None, *, open_only: bool, limit: int) -> Operation[list[Json]]:
    return _list("/v1/calls", "calls", {"session": session, "open": open_only, "limit": limit})


def call(call_id: str, wait: float | None) -> Operation[Json]:
    operation = _get(f"/v1/calls/{segment(call_id)}", {"wait": wait})
    operation.timeout = wait
    return operation


def cancel(call_id: str, reason: str) -> Operation[Json]:
    return _post(f"/v1/calls/{segment(call_id)}/cancel", {"reason": reason})


def stdin(call_id: str, data: bytes, *, eof: bool) -> Operation[None]:
    where = target(f"/v1/calls/{segment(call_id)}/stdin", {"eof": eof})
    return Operation(Request("POST", where, {}, data), lambda _: None)


def resize(call_id: str, rows: int, cols: int) -> Operation[None]:
    where = f"/v1/calls/{segment(call_id)}/resize"
    return Operation(json_request("POST", where, {"rows": rows, "cols": cols}), lambda _: None)


def output_lines(call_id: str, *, after: int, follow: bool) -> Request:
    where = f"/v1/calls/{segment(call_id)}/output"
    return stream_request(where, {"after": after, "follow": follow})


# Files.


def read(name: str, path: str, offset: int, size: int | None) -> Operation[bytes]:
    request = download(name, path, offset, size)
    return Operation(request, lambda reply: reply.body)


def download(name: str, path: str, offset: int = 0, size: int | None = None) -> Request:
    headers = {} if not offset and size is None else {"Range": _range(offset, size)}
    where = target(_session(name, "/files"), {"path": path})
    return Request("GET", where, headers, has_bulk=True)


def _range(offset: int, size: int | None) -> str:
    if offset < 0 or (size is not None and size <= 0):
        raise ValueError("an offset is not negative, and a size is positive")
    return f"bytes={offset}-" if size is None else f"bytes={offset}-{offset + size - 1}"


def write(
    name: str, path: str, data: Data, *, size: int | None, mode: int | None, append: bool
) -> Operation[Json]:
    query = {"path": path, "mode": None if mode is None else f"{mode:o}", "append": append}
    headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": new_key()}
    body = data.encode() if isinstance(data, str) else data
    request = Request("PUT", target(_session(name, "/files"), query), headers, body, size)
    return Operation(request, _json_of)


def edit(name: str, path: str, old: str, new: str, *, replace_all: bool) -> Operation[Json]:
    body = {"path": path, "old": old, "new": new, "replace_all": replace_all}
    return _post(_session(name, "/edit"), body, {"Idempotency-Key": new_key()})


def stat(name: str, path: str) -> Operation[Json]:
    return _get(_session(name, "/stat"), {"path": path})


def realpath(name: str, path: str) -> Operation[str]:
    request = Request("GET", target(_session(name, "/realpath"), {"path": path}))
    return Operation(request, lambda reply: str(reply.json()["path"]))


def mkdir(name: str, path: str) -> Operation[Json]:
    where = target(_session(name, "/mkdir"), {"path": path})
    return _post(where, headers={"Idempotency-Key": new_key()})


def remove(name: str, path: str, *, recursive: bool) -> Operation[Json]:
    where = target(_session(name, "/files"), {"path": path, "recursive": recursive})
    return Operation(Request("DELETE", where, {"Idempotency-Key": new_key()}), _json_of)


def rename(name: str, path: str, to: str) -> Operation[Json]:
    headers = {"Idempotency-Key": new_key()}
    return _post(_session(name, "/rename"), {"path": path, "to": to}, headers)


def ls(name: str, path: str, *, follow: bool) -> Operation[list[Json]]:
    return _list(_session(name, "/ls"), "entries", {"path": path, "follow": follow})


def glob(name: str, pattern: str, path: str, *, hidden: bool) -> Operation[list[Json]]:
    query: Query = {"pattern": pattern, "path": path, "hidden": hidden}
    return _list(_session(name, "/glob"), "entries", query)


def grep(
    name: str, pattern: str, path: str, glob: str | None, *, hidden: bool
) -> Operation[list[Json]]:
    query: Query = {"pattern": pattern, "path": path, "glob": glob, "hidden": hidden}
    return _list(_session(name, "/grep"), "matches", query)


def get_archive(name: str, path: str) -> Request:
    return Request("GET", target(_session(name, "/archive"), {"path": path}))


def put_archive(name: str, path: str, data: Data, size: int | None) -> Operation[Json]:
    where = target(_session(name, "/archive"), {"path": path})
    body = data.encode() if isinstance(data, str) else data
    request = Request("PUT", where, {"Content-Type": "application/x-tar"}, body, size)
    return Operation(request, _json_of)


# The policy.


def explain(tool: str, args: Json, profile: str | None, session: str | None) -> Operation[Json]:
    where = {"session": session} if profile is None else {"profile": profile}
    return _post("/v1/policy/explain", {"tool": tool, "args": args, **where})


def backtest(file: str, profile: str, of: str, since: float) -> Operation[Json]:
    named = {"file": file, "profile": profile, "of": of}
    body = {key: value for key, value in named.items() if value}
    return _post("/v1/policy/backtest", {**body, "since": since})


# Approvals, events, logs.


def approvals(state: str) -> Operation[list[Json]]:
    return _list("/v1/approvals", "approvals", {"state": state})


def approval(approval_id: str) -> Operation[Json]:
    return _get(f"/v1/approvals/{segment(approval_id)}")


def proposal(approval_id: str) -> Operation[Json]:
    return _get(f"/v1/approvals/{segment(approval_id)}/proposal")


def decision_body(
    *, approve: bool, args: Json | None, reason: str, stop: bool, remember: Json | None
) -> Json:
    if not approve:
        return {"decision": "deny", "reason": reason, "stop": stop}
    body: Json = {"decision": "approve"}
    if args is not None:
        body["args"] = args
    if remember is not None:
        body["remember"] = remember
    return body


def grants(session: str, *, ended: bool) -> Operation[list[Json]]:
    query: Query = {"state": "all" if ended else "active", "session": session or None}
    return _list("/v1/grants", "grants", query)


def revoke_grant(grant_id: str) -> Operation[Json]:
    return Operation(Request("DELETE", f"/v1/grants/{segment(grant_id)}"), _json_of)


def revoke_grants(session: str) -> Operation[list[Json]]:
    where = target("/v1/grants", {"session": session or None})
    return Operation(Request("DELETE", where), lambda reply: reply.json()["grants"])


def decide(approval_id: str, fingerprint: str, body: Json) -> Operation[Json]:
    where = f"/v1/approvals/{segment(approval_id)}/decision"
    return _post(where, body, {"If-Match": f'"{fingerprint}"'})


def audit(after: int, limit: int) -> Operation[list[Json]]:
    return _list("/v1/audit", "rows", {"after": after, "limit": limit})


def events(after: int | None, *, follow: bool, session: str) -> Request:
    query: Query = {"after": after, "follow": follow, "session": session or None}
    return stream_request("/v1/events", query)


def logs(
    name: str,
    *,
    follow: bool,
    search: str,
    after: int | None,
    limit: int | None,
    newest: int | None,
) -> Request:
    query = {
        "follow": follow,
        "search": search or None,
        "after": after,
        "limit": limit,
        "newest": newest,
    }
    return stream_request(_session(name, "/logs"), query)
