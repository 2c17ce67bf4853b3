"""A real guest as a child process, and a sandbox over it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deepd.engine.lane import Lane
from deepd.engine.process import GuestProcess, ProcessStream, spawn_guest
from deepd.guest.binary import guest_binary
from deepd.guest.connection import Guest
from deepd.sandbox.sandbox import Sandbox


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """Return the work dir, which the guest's user may write to."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def guest_stream(workspace: Path) -> AsyncIterator[ProcessStream]:
    """Start a guest that runs commands as this process's user, in the workspace."""
    user = f"{os.getuid()}:{os.getgid()}"
    stream = await spawn_guest(
        [str(guest_binary()), "--work-dir", str(workspace), "--user", user, "--shell", "auto"],
        stderr=sys.__stderr__.fileno() if sys.__stderr__ else -3,
    )
    yield stream
    await stream.process.stop()


@pytest.fixture
def guest_process(guest_stream: ProcessStream) -> GuestProcess:
    """Return the guest's process, to attach to it again."""
    return guest_stream.process


@pytest.fixture
async def guest(guest_stream: ProcessStream) -> AsyncIterator[Guest]:
    """Attach to the guest."""
    connected = await Guest.connect(guest_stream)
    yield connected
    await connected.aclose()


@pytest.fixture
def sandbox(guest: Guest, workspace: Path) -> Sandbox:
    """Return a sandbox whose work dir is the workspace."""
    return Sandbox(guest, work_dir=str(workspace))


@pytest.fixture
async def stream(workspace: Path) -> AsyncIterator[ProcessStream]:
    """Start a guest that can be met."""
    user = f"{os.getuid()}:{os.getgid()}"
    place = ["--work-dir", str(workspace), "--user", user, "--shell", "auto"]
    with tempfile.TemporaryDirectory(prefix="deepd-lane-") as folder:
        started = await spawn_guest([str(guest_binary()), *place, "--lane", folder])
        started.lane = Lane(Path(folder), started.process.pid)
        yield started
        await started.process.stop()
