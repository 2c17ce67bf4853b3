"""The same works through two daemons: one reaches its sandbox through the engine, one by a lane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepd.client.sync import Client
from tests.bench.daemon import daemon
from tests.bench.timing import interleave

SIZE = 8 << 20


def measure(pairs: int) -> list[dict[str, Any]]:
    """Return one row a work and way; each ratio is against the same work through the engine."""
    with daemon(lanes=False) as attached, daemon() as laned:
        assert not attached.session("main")["lane"]
        assert laned.session("main")["lane"]
        of_attached, of_laned = _works(attached), _works(laned)
        rows = []
        for name, attached_work in of_attached.items():
            ways = {f"{name}, engine": attached_work, f"{name}, lane": of_laned[name]}
            rows += interleave(ways, pairs)
        return rows


def _works(client: Client) -> dict[str, Callable[[], object]]:
    data = bytes(range(256)) * (SIZE // 256)
    client.write("main", "large", data)
    client.write("main", "small", data[:1024])

    def true() -> None:
        assert client.exec("main", ["true"]).exit_code == 0

    def read(path: str, size: int) -> None:
        assert len(client.read("main", path)) == size

    return {
        "true": true,
        "read 1 KiB": lambda: read("small", 1024),
        "write 1 KiB": lambda: client.write("main", "written", data[:1024]),
        "read 8 MiB": lambda: read("large", SIZE),
        "write 8 MiB": lambda: client.write("main", "written", data),
    }
