"""The WebSocket of a call, through the client's own attaching."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deepd.client.attach import attach
from deepd.errors import BadRequestError, DaemonDownError, NotFoundError
from deepd.model.call import CallState
from tests.daemon.api import served
from tests.eventually import eventually


def enter(socket_path: Path, call_id: str) -> None:
    """Attach and leave."""
    with attach(str(socket_path), call_id):
        pass


async def test_a_shell_echoes_resizes_and_ends(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        begun = await api.operator.exec("main", "wait", background=True, pty=(24, 80))

        def use() -> tuple[list[bytes], object]:
            with attach(str(api.operator_socket), begun.id) as shell:
                shell.write(b"ls\n")
                output = shell.output()
                got = [next(output)]
                shell.resize(40, 120)
                shell.close_stdin()
                got += output
                return got, shell.end

        output, end = await asyncio.to_thread(use)
        assert output == [b"LS\n"]
        assert end == {"exit": 7, "state": "finished", "reason": ""}
        assert api.world.calls.sizes == [(40, 120)]


async def test_detaching_leaves_the_call_running_and_it_can_be_resumed(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        begun = await api.operator.exec("main", "wait", background=True)
        call_id = begun.call["id"]
        api.world.calls.print(call_id, b"12345")
        path = str(api.operator_socket)
        before = len(asyncio.all_tasks())

        def first() -> bytes:
            with attach(path, begun.id) as shell:
                return next(shell.output())

        assert await asyncio.to_thread(first) == b"12345"
        await eventually(lambda: len(asyncio.all_tasks()) <= before)
        assert api.world.calls.calls[call_id].state is CallState.RUNNING
        api.world.calls.print(call_id, b"678")
        api.world.calls.end(call_id, exit_code=0)

        def second() -> list[bytes]:
            with attach(path, begun.id, after=5) as shell:
                return list(shell.output())

        assert await asyncio.to_thread(second) == [b"678"]


async def test_an_unknown_call_is_not_found(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(NotFoundError):
            await asyncio.to_thread(enter, api.operator_socket, "0" * 32)


async def test_an_agent_attaches_by_the_whole_id_only(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        begun = await api.operator.exec("main", "wait", background=True)
        with pytest.raises(NotFoundError):
            await asyncio.to_thread(enter, api.agent_socket, begun.id[:12])
        await asyncio.to_thread(enter, api.agent_socket, begun.id)


@pytest.mark.parametrize(
    "frame",
    ["{", "[]", '{"resize": [0, 80]}', '{"resize": ["a", 1]}', "[" * 100_000],
    ids=["no json", "no object", "no rows", "no number", "deep"],
)
async def test_a_frame_that_means_nothing_ends_the_attachment_and_not_the_call(
    tmp_path: Path, frame: str
) -> None:
    async with served(tmp_path) as api:
        begun = await api.operator.exec("main", "wait", background=True)

        def use() -> None:
            with attach(str(api.operator_socket), begun.id) as shell:
                shell._send(frame)
                list(shell.output())

        with pytest.raises(BadRequestError):
            await asyncio.to_thread(use)
        assert api.world.calls.calls[begun.call["id"]].state is CallState.RUNNING


async def test_no_daemon_is_said_as_everywhere(tmp_path: Path) -> None:
    with pytest.raises(DaemonDownError, match="no daemon answers"):
        await asyncio.to_thread(enter, tmp_path / "none.sock", "0" * 32)
