"""Files over the API: raw bytes both ways, ranges, large bodies, archives."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deepd.errors import BadRequestError, FileError, TooLargeError
from deepd.server.app import build_app
from deepd.server.limits import Limits
from tests.daemon.api import served

CONTENT = bytes(range(256)) * 1024


async def test_a_file_is_read_as_raw_bytes(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        assert await api.operator.read("main", "data.bin") == CONTENT
        pieces = [piece async for piece in api.operator.download("main", "data.bin")]
        assert b"".join(pieces) == CONTENT


async def test_a_range_is_a_part_with_its_place(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        assert await api.operator.read("main", "f", offset=10, size=5) == CONTENT[10:15]
        assert await api.operator.read("main", "f", offset=len(CONTENT) - 3) == CONTENT[-3:]
        reply = await api.operator.request(
            "GET", "/v1/sessions/main/files?path=f", headers={"Range": "bytes=2-3"}
        )
        assert (reply.status, reply.headers["content-range"]) == (206, "bytes 2-3/*")


async def test_past_the_end_is_an_empty_part(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        assert await api.operator.read("main", "f", offset=len(CONTENT) + 9, size=5) == b""


@pytest.mark.parametrize("text", ["bytes=5-2", "bytes=-5", "lines=1-2", "bytes=1-2,4-5"])
async def test_a_range_that_is_not_understood_is_refused(tmp_path: Path, text: str) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(BadRequestError):
            await api.operator.request(
                "GET", "/v1/sessions/main/files?path=f", headers={"Range": text}
            )


async def test_a_missing_file_is_an_error_with_its_errno(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(FileError) as caught:
            await api.operator.read("main", "missing")
        assert caught.value.errno_name == "ENOENT"
        raw = await api.raw(
            b"GET /v1/sessions/main/files?path=missing HTTP/1.1\r\nConnection: close\r\n\r\n"
        )
        assert raw.startswith(b"HTTP/1.1 404 ")


async def test_a_small_write_stays_in_memory_and_a_large_one_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as api:
        large = os.urandom((1 << 20) + 17) * 3
        assert await api.operator.write("main", "a", b"small") == {"path": "a", "size": 5}
        assert (await api.operator.write("main", "b", large))["size"] == len(large)
        assert list(api.world.calls.bodies.values()) == [b"small", large]
        assert list(api.spool.iterdir()) == []


async def test_a_body_of_unknown_size_streams_in(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(50):
            yield bytes([number]) * 65536

    async with served(tmp_path) as api:
        await api.operator.write("main", "a", pieces())
        await asyncio.to_thread(
            api.sync.write, "main", "b", (bytes([n]) * 65536 for n in range(50))
        )
        first, second = api.world.calls.bodies.values()
        assert len(first) == 50 * 65536
        assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()


async def test_a_body_over_the_cap_is_refused_and_not_kept(tmp_path: Path) -> None:
    limits = Limits(in_memory=1000, file=100_000)
    async with served(tmp_path, limits) as api:
        with pytest.raises(TooLargeError):
            await api.operator.write("main", "a", b"x" * 100_001)
        with pytest.raises(TooLargeError):
            await asyncio.to_thread(api.sync.write, "main", "a", (b"x" * 5000 for _ in range(1000)))
        assert list(api.spool.iterdir()) == []
        assert not api.world.calls.calls


async def test_mode_and_append_reach_the_tool(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        await api.operator.write("main", "a b/ü+%.txt", b"x", mode=0o640, append=True)
        (call,) = api.world.calls.calls.values()
        assert call.args == {"path": "a b/ü+%.txt", "mode": 0o640, "append": True}


@pytest.mark.parametrize("mode", ["999", "rwx", "77777", "-1"])
async def test_a_mode_that_is_none_is_refused(tmp_path: Path, mode: str) -> None:
    async with served(tmp_path) as api:
        with pytest.raises(BadRequestError):
            await api.operator.request(
                "PUT", f"/v1/sessions/main/files?path=a&mode={mode}", body=b"x"
            )


async def test_each_file_route_is_a_call_of_its_tool(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        assert (await api.agent.edit("main", "a", "x", "y"))["occurrences"] == 1
        assert (await api.agent.stat("main", "a"))["path"] == "a"
        assert await api.agent.ls("main") == [{"path": "."}]
        assert await api.agent.glob("main", "**/*.py", hidden=True)
        assert await api.agent.grep("main", "x+", glob="*.py")
        made = [(call.tool, call.args) for call in api.world.calls.calls.values()]
        assert made == [
            ("edit_file", {"path": "a", "old": "x", "new": "y"}),
            ("ls", {"path": "a", "stat": True}),
            ("ls", {"path": "."}),
            ("glob", {"pattern": "**/*.py", "path": ".", "hidden": True}),
            ("grep", {"pattern": "x+", "path": ".", "glob": "*.py"}),
        ]


async def test_archives_stream_both_ways_and_keep_the_session_busy(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        pieces = [piece async for piece in api.operator.get_archive("main", "src")]
        assert b"".join(pieces) == b"tar of src"
        await api.operator.put_archive("main", "src", b"a tar")
        assert api.world.sessions.sandbox.extracted == b"a tar"
        with pytest.raises(FileError):
            await anext(api.operator.get_archive("main", "missing"))
        assert api.world.sessions.busy_now == 0


async def test_a_path_is_needed_and_has_no_zero_byte(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        for query in ("", "?path=a%00b"):
            with pytest.raises(BadRequestError):
                await api.operator.request("GET", f"/v1/sessions/main/files{query}")


async def test_an_upload_that_a_killed_daemon_left_is_removed_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as api:
        (api.spool / "upload-half").write_bytes(b"half")
        (api.spool / ("0" * 32)).write_bytes(b"a call's output")
        build_app(api.world.services)
        assert [path.name for path in api.spool.iterdir()] == ["0" * 32]
