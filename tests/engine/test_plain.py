"""A local sandbox without isolation: a plain process whose pipes outlive who started it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from deepd.engine.box import Box, Entry
from deepd.engine.local import LocalEngine
from deepd.errors import EngineRefusedError
from deepd.guest.connection import Guest
from deepd.guest.requests import Execute
from deepd.model.ids import ProfileName, SessionName
from deepd.model.profile import Limits, Local, Security
from deepd.model.sandbox import SandboxSpec
from deepd.sandbox.sandbox import Sandbox


def spec(workspace: Path) -> SandboxSpec:
    return SandboxSpec(
        instance="0123abcd",
        session=SessionName("main"),
        warm_id="",
        profile=ProfileName("p"),
        spec_hash="hash",
        generation=1,
        image="host",
        work_dir="/workspace",
        workspace=workspace,
        volumes=(),
        user="workspace",
        shell="auto",
        limits=replace(Limits(), pids=4096),
        security=Security(),
        engine="local",
        local=Local(isolation="none"),
    )


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that an ordinary user can go through, as the sandbox's user must."""
    with TemporaryDirectory(prefix="deepd-plain-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def test_a_look_at_many_sandboxes_lets_others_go_on_between_them(home: Path) -> None:
    (home / "boxes").mkdir()
    entry = Entry(spec(home), "name", 0.0, "none", Limits())
    for number in range(20):
        Box(home / "boxes" / f"local-{number}").make(entry)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    assert len(await LocalEngine("0123abcd", home / "boxes").observe()) == 20
    other.cancel()
    assert turns >= 20


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has calls run as somebody else")
async def test_a_workspace_that_its_user_cannot_come_to_is_refused_with_what_to_set(
    home: Path,
) -> None:
    workspace = home / "closed" / "workspace"
    workspace.mkdir(parents=True)
    os.chown(workspace, 1000, 1000)
    engine = LocalEngine("0123abcd", home / "boxes")
    (home / "closed").chmod(0o710)
    with pytest.raises(EngineRefusedError, match=f"{home}/closed is closed") as refused:
        await engine.create(spec(workspace))
    assert "workspace_root" in refused.value.next_step
    assert await engine.observe() == []
    (home / "closed").chmod(0o711)
    assert await engine.create(spec(workspace))
    await engine.aclose()


async def test_a_plain_sandbox_answers_also_the_next_engine_over_its_folder(home: Path) -> None:
    workspace = home / "workspace"
    workspace.mkdir()
    if os.geteuid() == 0:
        os.chown(workspace, 1000, 1000)
    first = LocalEngine("0123abcd", home / "boxes")
    container = await first.create(spec(workspace))
    await first.start(container)
    await first.aclose()
    second = LocalEngine("0123abcd", home / "boxes")
    try:
        guest = await Guest.connect(await second.open(container))
        sandbox = Sandbox(guest, work_dir=str(workspace))
        done = await sandbox.execute(Execute(args=("pwd",), shell=True))
        assert done.output.decode().strip() == str(workspace)
        await guest.aclose()
    finally:
        await second.remove(container)
        await second.aclose()
