"""Our stdin to a call's, beside the thread that prints its output."""

from __future__ import annotations

import os
import time
from threading import Thread

from deepd.client.sync import Client
from deepd.errors import ConflictError, DeepdError

_PIECE = 64 << 10
_PAUSE = 0.05


def forward_stdin(client: Client, call_id: str) -> None:
    """Start passing on what comes, until its end or the call's."""
    Thread(target=_forward, args=(client, call_id), daemon=True).start()


def _forward(client: Client, call_id: str) -> None:
    while True:
        data = os.read(0, _PIECE)
        if not send(client, call_id, data) or not data:
            return


def send(client: Client, call_id: str, data: bytes) -> bool:
    """Send once the call runs; `False` when it takes no more."""
    while True:
        try:
            client.stdin(call_id, data, eof=not data)
            return True
        except ConflictError:
            # Not running: not yet, while it is held or starts, or not any more.
            if not _is_open(client, call_id):
                return False
            time.sleep(_PAUSE)
        except DeepdError:
            return False


def _is_open(client: Client, call_id: str) -> bool:
    try:
        return client.call(call_id)["ended_at"] is None
    except DeepdError:
        return False
