"""Attaching to a call: its output and stdin over a WebSocket, for shells and ptys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, unix_connect

from deepd.client.failure import cannot_connect, lost
from deepd.client.http import Reply, check, segment, target
from deepd.errors import ConflictError, DeepdError
from deepd.wire.problems import from_problem

_OPEN_TIMEOUT = 10.0


class Attachment:
    """One attached call; leaving it leaves the call running.

    One thread may read `frames()` while another one writes.
    """

    def __init__(self, connection: ClientConnection, socket_path: str) -> None:
        self._connection = connection
        self._path = socket_path
        self.end: dict[str, Any] | None = None
        """How the call ended, once it has: `exit`, `state`, `reason`."""

    def output(self) -> Iterator[bytes]:
        """Yield what the call prints until it ends; `end` is set then."""
        try:
            for frame in self._connection:
                if isinstance(frame, bytes):
                    yield frame
                    continue
                told = json.loads(frame)
                if "error" in told:
                    raise from_problem(told["error"])
                self.end = told
        except ConnectionClosed:
            raise lost(self._path) from None
        if self.end is None:
            raise lost(self._path)

    def write(self, data: bytes) -> None:
        """Write to the call's stdin."""
        self._send(data)

    def resize(self, rows: int, cols: int) -> None:
        """Tell the call's pty its size."""
        self._send(json.dumps({"resize": [rows, cols]}))

    def close_stdin(self) -> None:
        """Let the call read the end of its stdin."""
        self._send(json.dumps({"eof": True}))

    def _send(self, frame: bytes | str) -> None:
        try:
            self._connection.send(frame)
        except ConnectionClosed:
            raise ConflictError("the call has ended") from None


@contextmanager
def attach(
    socket_path: str, call_id: str, *, after: int = 0, name: str = ""
) -> Iterator[Attachment]:
    """Attach to a call, with its output from an offset on, for the length of a block."""
    where = target(f"/v1/calls/{segment(call_id)}/attach", {"after": after or None})
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(
                unix_connect(
                    socket_path,
                    f"ws://deepd{where}",
                    additional_headers={"X-Deepd-Client": name} if name else None,
                    open_timeout=_OPEN_TIMEOUT,
                    compression=None,
                    max_size=None,
                    user_agent_header=None,
                )
            )
        except InvalidStatus as error:
            raise _refusal(error) from None
        except WebSocketException as error:
            raise DeepdError(f"the daemon does not let us attach: {error}") from error
        except OSError as error:
            raise cannot_connect(socket_path, error) from error
        yield Attachment(connection, socket_path)


def _refusal(error: InvalidStatus) -> DeepdError:
    response = error.response
    try:
        check(Reply(response.status_code, {}, bytes(response.body or b"")))
    except DeepdError as refused:
        return refused
    return DeepdError(f"the daemon answered {response.status_code}")
