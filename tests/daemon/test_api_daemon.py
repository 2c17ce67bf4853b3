"""The API over the whole daemon: real services, real guests, a fake engine."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from deepd.client.async_ import AsyncClient
from deepd.client.attach import attach
from deepd.config.settings import Settings
from deepd.daemon.daemon import Daemon
from deepd.engine.fake import FakeEngine
from deepd.errors import CallTimeoutError, DeniedError, FileError, ForbiddenError
from tests.eventually import eventually

OPEN = """
image = "python:3.12-slim"
work_dir = "{work_dir}"
sessions = ["main"]
"""
STRICT = """
image = "python:3.12-slim"
work_dir = "{work_dir}"
sessions = ["held"]

[interrupt_on]
execute = true
write_file = true
edit_file = {{ default = "deny" }}
"""


class Running:
    """A daemon that serves, with a client for each role."""

    def __init__(self, daemon: Daemon, settings: Settings) -> None:
        self.daemon = daemon
        self.operator_socket = settings.runtime_dir / "deepd.sock"
        self.operator = AsyncClient(self.operator_socket, name="alice", timeout=20)
        self.agent = AsyncClient(settings.runtime_dir / "agent.sock", name="planner-7", timeout=20)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Running]:
    """Run a daemon for the length of a block."""
    # The fake engine mounts nothing: a sandbox's paths are ours.
    (folder / "work").mkdir()
    (folder / "open.toml").write_text(OPEN.format(work_dir=folder / "work"))
    (folder / "strict.toml").write_text(STRICT.format(work_dir=folder / "work"))
    settings = Settings(runtime_dir=folder / "run", state_dir=folder / "state")
    daemon = Daemon(
        settings,
        [folder / "open.toml", folder / "strict.toml"],
        engine_of=lambda instance, _: FakeEngine(instance),
    )
    ready = asyncio.Event()
    task = asyncio.create_task(daemon.run(ready.set))
    await asyncio.wait({task, asyncio.create_task(ready.wait())}, return_when="FIRST_COMPLETED")
    found = Running(daemon, settings)
    try:
        yield found
    finally:
        found.operator.close()
        found.agent.close()
        daemon.stop(False)  # noqa: FBT003
        await task


async def test_a_command_runs_and_its_files_are_there(tmp_path: Path) -> None:
    async with running(tmp_path) as api:
        reply = await api.agent.exec(
            "main", f"cd {tmp_path}/work; echo out; echo err >&2; printf x > made; exit 3"
        )
        assert (reply.stdout, reply.stderr, reply.exit_code) == (b"out\n", b"err\n", 3)
        assert await api.agent.read("main", "made") == b"x"
        assert [entry["path"].rsplit("/")[-1] for entry in await api.agent.ls("main")] == ["made"]
        assert (await api.agent.stat("main", "made"))["size"] == 1
        with pytest.raises(FileError) as caught:
            await api.agent.read("main", "none")
        assert caught.value.errno_name == "ENOENT"


async def test_a_large_file_goes_in_after_a_decision_and_comes_out_in_ranges(
    tmp_path: Path,
) -> None:
    data = bytes(range(256)) * 20_000
    async with running(tmp_path) as api:
        asked = asyncio.create_task(api.agent.write("held", "big", data))
        await eventually(lambda: asked.done() or api.daemon.approvals.list())
        (approval,) = await api.operator.approvals()
        await api.operator.decide(approval["id"], approve=True, fingerprint=approval["fingerprint"])
        assert (await asked)["size"] == len(data)
        assert await api.agent.read("held", "big") == data
        assert await api.agent.read("held", "big", offset=1000, size=300) == data[1000:1300]
        assert await api.agent.read("held", "big", offset=len(data)) == b""
        assert not list((tmp_path / "state" / "spool").glob("upload-*"))


async def test_held_denied_and_decided_reach_the_caller(tmp_path: Path) -> None:
    async with running(tmp_path) as api:
        with pytest.raises(DeniedError, match=r"strict\.toml:"):
            await api.agent.edit("held", "a", "x", "y")
        held = await api.agent.exec("held", "git push origin", wait=False)
        assert held.state == "held"
        approval = await api.operator.approval(held.id[:8])
        with pytest.raises(ForbiddenError):
            await api.agent.decide(held.id, approve=True, fingerprint=approval["fingerprint"])
        waiting = asyncio.create_task(api.agent.call(held.id, wait=20))
        await api.operator.decide(
            held.id,
            approve=True,
            fingerprint=approval["fingerprint"],
            args={"command": "echo instead"},
        )
        assert (await waiting)["state"] == "finished"
        lines = [line async for line in api.agent.output(held.id)]
        assert b"".join(line["data"] for line in lines) == b"instead\n"


async def test_a_timeout_brings_what_was_printed(tmp_path: Path) -> None:
    async with running(tmp_path) as api:
        with pytest.raises(CallTimeoutError) as caught:
            await api.agent.exec("main", "echo begun; sleep 30", timeout=0.3)
        assert caught.value.output == b"begun\n"


async def test_archives_keep_what_is_in_them(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("src/a.txt")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    async with running(tmp_path) as api:
        await api.operator.open_session("main")
        await api.operator.put_archive("main", ".", packed.getvalue())
        assert await api.operator.read("main", "src/a.txt") == b"hello"
        pieces = [piece async for piece in api.operator.get_archive("main", "src")]
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
            assert [name.rsplit("/")[-1] for name in tar.getnames() if "a.txt" in name]


async def test_a_shell_is_attached_and_ends(tmp_path: Path) -> None:
    async with running(tmp_path) as api:
        begun = await api.agent.exec("main", ["sh"], background=True, pty=(24, 80))

        def use() -> tuple[bytes, object]:
            with attach(str(api.operator_socket), begun.id) as shell:
                shell.resize(40, 132)
                shell.write(b"stty size; exit 5\n")
                return b"".join(shell.output()), shell.end

        output, end = await asyncio.to_thread(use)
        assert b"40 132" in output
        assert end == {"exit": 5, "state": "finished", "reason": ""}


async def test_events_and_logs_tell_what_happened(tmp_path: Path) -> None:
    async with running(tmp_path) as api:
        before = (await api.operator.info())["last_event"]
        async with aclosing(api.operator.events(before, follow=True)) as events:
            await api.agent.exec("main", "echo hello there")
            seen = [(await anext(events))["kind"] for _ in range(3)]
        assert "call_received" in seen
        lines = [line async for line in api.operator.logs("main", search="hello")]
        assert any(line["text"] == "hello there" for line in lines)


async def test_an_edit_of_a_profile_that_fails_is_shown_with_its_place(tmp_path: Path) -> None:
    async with running(tmp_path) as api:
        (tmp_path / "strict.toml").write_text(STRICT.format(work_dir="/w") + "exekute = 1\n")
        state = next(s for s in await api.operator.reload() if s["name"] == "strict")
        assert state["state"] == "stale"
        assert state["problems"][0]["line"] > 1
        assert (await api.operator.info())["profiles"][1] == state
