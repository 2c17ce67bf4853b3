"""One subject in its own process: reads the name of a work, does it, answers with its time.

Only the standard library is imported here, as each peer lives in another environment than deepd.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from tests.bench.subjects.peer import Peer
from tests.bench.subjects.watch import Watch
from tests.bench.subjects.works import WORKS


def serve(make: Callable[[str], Peer], image: str) -> None:
    """Speak lines of JSON over stdin and stdout until stdin ends."""
    answers = _own_stdout()
    try:
        peer = make(image)
    except Exception as error:  # noqa: BLE001 - whatever a peer cannot, it is named with that
        _say(answers, {"unable": _reason(error)})
        return
    _say(answers, {"ready": peer.version})
    try:
        for line in sys.stdin:
            _say(answers, _do(peer, json.loads(line)))
    finally:
        peer.close()


def _do(peer: Peer, name: str) -> dict[str, Any]:
    watch = Watch()
    try:
        begin = time.perf_counter()
        WORKS[name].do(peer, watch)
        whole = time.perf_counter() - begin
    except NotImplementedError:
        return {"unable": "has no such operation"}
    except Exception as error:  # noqa: BLE001 - as above
        return {"unable": _reason(error)}
    return {"value": watch.value, "whole": whole}


def _own_stdout() -> TextIO:
    """Keep what libraries print away from the answers."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _say(answers: TextIO, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200].replace("\n", " ")
