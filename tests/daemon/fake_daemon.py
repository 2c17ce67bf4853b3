"""`python -m tests.daemon.fake_daemon PROFILE…`: the daemon on the fake engine."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from deepd.config.settings import load_settings
from deepd.daemon.daemon import Daemon
from deepd.engine.fake import FakeEngine
from deepd.engine.fake_world import FakeWorld


async def main() -> None:
    """Serve; say so on stdout; end the guests at the end."""
    world = FakeWorld()
    daemon = Daemon(
        load_settings(),
        [Path(path) for path in sys.argv[1:]],
        engine_of=lambda instance, _: FakeEngine(instance, world),
    )
    try:
        await daemon.run(lambda: print("ready", flush=True))
    finally:
        await world.aclose()


if __name__ == "__main__":
    asyncio.run(main())
