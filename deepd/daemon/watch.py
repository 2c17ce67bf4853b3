"""Watch the profiles' files: quick by notification, and certain by a look every second.

Folders are watched rather than files, because editors replace a file by renaming another over it.
The look finds what notifications miss: a folder that was deleted and made again, or one on a file
system that does not notify.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deepd.config.load import find_profiles

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0
QUIET_MS = 30
"""Milliseconds without a change before a burst of them counts as over."""

Signature = tuple[tuple[str, int, int, int, int], ...]


async def changes(
    paths: Sequence[Path], seen: Signature, *, every: float = LOOK_EVERY
) -> AsyncGenerator[None, None]:
    """Yield whenever the profiles' files are other ones than were seen before."""
    while True:
        folders = {path if path.is_dir() else path.parent for path in paths}
        existing = {folder: _inode(folder) for folder in folders if folder.is_dir()}
        async with contextlib.aclosing(_notifications(sorted(existing), every)) as notifications:
            async for _ in notifications:
                now = signature(paths)
                if now != seen:
                    seen = now
                    yield
                if any(_inode(folder) != existing.get(folder, 0) for folder in folders):
                    break  # A watched folder came, went or was replaced: watch the new one.


def signature(paths: Sequence[Path]) -> Signature:
    """Return what changes when a profile is written, made or deleted."""
    found = []
    for file in existing_profiles(paths):
        with contextlib.suppress(OSError):
            status = file.stat()
            # ctime tells of a change of owner or mode, after which a file may be refused.
            found.append(
                (
                    str(file),
                    status.st_ino,
                    status.st_size,
                    status.st_mtime_ns,
                    status.st_ctime_ns,
                )
            )
    return tuple(found)


def existing_profiles(paths: Sequence[Path]) -> list[Path]:
    """Return the profiles' files that are there; one that was named and deleted is none."""
    existing = [path for path in paths if path.exists()]
    return find_profiles(existing) if existing else []


async def _notifications(folders: Sequence[Path], every: float) -> AsyncGenerator[None, None]:
    """Yield now, soon after anything in the folders changed, and every so many seconds anyway."""
    yield
    if not folders:
        await asyncio.sleep(every)
        yield
        return
    stop = threading.Event()
    thread = ThreadPoolExecutor(1, thread_name_prefix="watch")
    run = asyncio.get_running_loop().run_in_executor
    try:
        watching = await run(thread, _watch, folders, every, stop)
        while await run(thread, next, watching, None) is not None:
            yield
    except OSError as error:
        logger.debug("no notifications for %s: %s", folders, error)
        await asyncio.sleep(every)
        yield
    finally:
        stop.set()
        thread.shutdown(wait=False)


def _watch(folders: Sequence[Path], every: float, stop: threading.Event) -> Iterator[object]:
    """Return what blocks until something changed; its own thread loads it, and nobody waits.

    `awatch` does the same, in a thread too, but loads a whole asynchronous library for that.
    """
    from watchfiles import watch  # noqa: PLC0415 - as said

    return watch(
        *folders,
        watch_filter=None,
        recursive=False,
        step=QUIET_MS,
        debounce=10 * QUIET_MS,
        rust_timeout=round(every * 1000),
        yield_on_timeout=True,
        stop_event=stop,
    )


def _inode(folder: Path) -> int:
    try:
        return folder.stat().st_ino
    except OSError:
        return 0
