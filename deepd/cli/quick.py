"""Quick: the two commands that scripts repeat, without the parser of all the others.

`deepd exec SESSION -- COMMAND…` and `deepd status --json` spend most of their time on loading, so
they load what they need and nothing else. Whatever more is on the line is not for here.
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False  # typing itself would cost a command a tenth of its start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from deepd.client.connection import Pool
    from deepd.client.sync import Client

_PATIENCE = 10.0
"""Seconds that a daemon may be silent on a question that needs no sandbox."""


def quick(argv: Sequence[str]) -> Callable[[], int] | None:
    """Return what carries a command line out and gives its exit code, where it is one of those."""
    match argv:
        case ["status", "--json"] if not sys.stdout.isatty():
            return _status
        case ["exec", session, "--", _, *_] if session and not session.startswith("-"):
            return lambda: _execute(session, list(argv[3:]))
    return None


def own_name() -> str:
    """Return what the person who types is called in calls and decisions; not proven."""
    given = os.environ.get("DEEPD_CLIENT") or f"{os.environ.get('USER', '')} cli".strip()
    return "".join(char for char in given if char.isascii() and char.isprintable())[:64]


def _status() -> int:
    from deepd.client.http import Request  # noqa: PLC0415 - only once it is known to be needed

    pool = _pool()
    try:
        reply = pool.exchange(Request("GET", "/v1/info", _named()), _PATIENCE)
    finally:
        pool.close()
    print(reply.body.decode("utf-8").rstrip("\n"))
    return 0


def _execute(session: str, argv: list[str]) -> int:
    from deepd.cli.stream import CallStream  # noqa: PLC0415 - the same

    pool = _pool()
    client = _Later(pool.path)
    try:
        return CallStream(client).run(_lines(pool, session, argv))
    finally:
        pool.close()
        client.close()


def _lines(pool: Pool, session: str, argv: list[str]) -> Iterator[dict[str, Any]]:
    from deepd.client import http  # noqa: PLC0415 - the same
    from deepd.wire.octets import unpack_line  # noqa: PLC0415 - the same

    where = f"/v1/sessions/{http.segment(session)}/exec"
    headers = {**_named(), "Idempotency-Key": os.urandom(16).hex(), "Accept": http.RAW_LINES}
    parser = http.LineParser()
    gc.enable()
    for piece in pool.stream(http.json_request("POST", where, {"argv": argv}, headers), None):
        yield from map(unpack_line, parser.feed(piece))


def _pool() -> Pool:
    from deepd.client.connection import Pool  # noqa: PLC0415 - the same

    return Pool(os.environ.get("DEEPD_SOCKET") or None)


def _named() -> dict[str, str]:
    name = own_name()
    return {"X-Deepd-Client": name} if name else {}


class _Later:
    """A client that is loaded when a call turns out to need more than its stream."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._made: Client | None = None

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

    def call(self, call_id: str) -> dict[str, Any]:
        return self._client().call(call_id)

    def cancel(self, call_id: str, reason: str = "") -> dict[str, Any]:
        return self._client().cancel(call_id, reason)

    def output(
        self, call_id: str, *, after: int = 0, follow: bool = False
    ) -> Iterator[dict[str, Any]]:
        return self._client().output(call_id, after=after, follow=follow)

    def _client(self) -> Client:
        from deepd.client.sync import Client  # noqa: PLC0415 - that is what this class is for

        self._made = self._made or Client(self._path, name=own_name())
        return self._made
