"""Calls that run: what they answer, how they end, and what their followers see."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deepd.daemon import driver
from deepd.daemon.calls import Submit
from deepd.daemon.outcome import error_of
from deepd.errors import (
    ArgumentsError,
    ConflictError,
    EngineDownError,
    GoneError,
    LimitError,
    NotFoundError,
    TooLargeError,
)
from deepd.model.call import CallState
from deepd.model.ids import ProfileName
from deepd.model.profile import Limits
from tests.daemon.call_world import AGENT, MAIN, Body, World, daemons
from tests.eventually import eventually


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with daemons(tmp_path, limits=Limits(output=200_000, output_kill=64 << 20)) as worlds:
        yield await worlds.start()


async def test_a_command_ends_with_its_output_and_exit_code(world: World) -> None:
    call = await world.run("echo out; echo err >&2; exit 3")
    assert (call.state, call.exit_code) == (CallState.FINISHED, 3)
    assert sorted((await world.text(call)).split()) == ["err", "out"]
    assert (call.result["stdout"], call.result["stderr"], call.output_size) == (4, 4, 8)
    assert world.calls.get(call.id[:8]) == call


async def test_words_are_not_given_to_a_shell(world: World) -> None:
    call = await world.submit(argv=["printf", "%s|", "$HOME", "a b"])
    assert await world.text(await world.end(call)) == "$HOME|a b|"


async def test_a_missing_program_is_exit_code_127(world: World) -> None:
    call = await world.end(await world.submit(argv=["no-such-program"]))
    assert (call.state, call.exit_code) == (CallState.FINISHED, 127)


async def test_environment_folder_and_input_reach_the_command(world: World) -> None:
    world.set_profile(env=(("A", "profile"), ("B", "profile")))
    call = await world.run("echo $A $B; pwd; cat", env={"B": "call"}, cwd="/", stdin="in\n")
    assert await world.text(call) == "profile call\n/\nin\n"


async def test_a_command_that_takes_too_long_is_killed_and_keeps_what_it_printed(
    world: World,
) -> None:
    call = await world.run("echo begun; sleep 60", timeout=0.3)
    assert call.state is CallState.TIMED_OUT
    assert await world.text(call) == "begun\n"
    assert "0.3s" in call.reason


async def test_more_output_than_is_kept_is_counted_and_said(world: World) -> None:
    call = await world.run("head -c 10000000 /dev/urandom")
    kept = [chunk async for chunk in world.calls.output(call.id)]
    assert (call.exit_code, call.output_size, call.truncated) == (0, 10_000_000, True)
    assert sum(len(chunk.data) for chunk in kept) == 200_000
    assert kept[0].offset == 0


async def test_bytes_that_are_no_text_come_back_as_they_were(world: World) -> None:
    call = await world.run(r"printf '\377\376\000\303('")
    assert world.calls.body(call.id) == b"\xff\xfe\x00\xc3("


async def test_a_flood_is_killed(world: World) -> None:
    world.set_profile(limits=Limits(output=1000, output_kill=1 << 20))
    call = await world.run("yes")
    assert call.state is CallState.FINISHED
    assert "output" in call.reason
    assert call.truncated


async def test_sixteen_at_once_all_end_as_they_should(world: World) -> None:
    calls = [await world.submit(command=f"sleep 0.1; echo {n}; exit {n}") for n in range(16)]
    ended = await asyncio.gather(*map(world.end, calls))
    assert [call.exit_code for call in ended] == list(range(16))
    assert [await world.text(call) for call in ended] == [f"{n}\n" for n in range(16)]
    assert world.sessions.counts == {"running": 0, "held": 0}


async def test_a_session_is_busy_while_its_calls_run(world: World) -> None:
    call = await world.submit(command="sleep 60")
    await eventually(lambda: world.sessions.counts["running"] == 1)
    await eventually(lambda: world.calls.get(call.id).state is CallState.RUNNING)
    await world.calls.cancel(call.id, AGENT)
    await world.end(call)
    assert world.sessions.counts["running"] == 0


async def test_a_job_is_given_input_while_it_runs(world: World) -> None:
    submit = Submit(MAIN, "execute", {"command": "while read l; do echo got $l; done"})
    job = await world.calls.submit(
        Submit(submit.session, submit.tool, submit.args, background=True), AGENT
    )
    assert job.state in {CallState.ADMITTED, CallState.SENT}
    await world.calls.stdin(job.id, b"one\n")
    await world.calls.stdin(job.id, b"two\n", eof=True)
    assert await world.text(await world.end(job)) == "got one\ngot two\n"
    with pytest.raises(ConflictError):
        await world.calls.stdin(job.id, b"late\n")


async def test_a_command_without_open_input_refuses_input(world: World) -> None:
    call = await world.submit(command="sleep 60")
    with pytest.raises(ConflictError, match="without input"):
        await world.calls.stdin(call.id, b"x")
    await world.calls.cancel(call.id, AGENT)


async def test_a_terminal_is_raw_resized_and_typed_into(world: World) -> None:
    call = await world.submit(command="stty size; read x; stty size", pty={"rows": 30, "cols": 99})
    follow = world.calls.output(call.id, follow=True)
    seen = b""
    while b"30 99" not in seen:
        seen += (await anext(follow)).data
    await world.calls.resize(call.id, 50, 120)
    await world.calls.stdin(call.id, b"\n")
    async for chunk in follow:
        seen += chunk.data
    assert b"50 120" in seen
    assert (await world.end(call)).exit_code == 0


async def test_cancelling_kills_all_that_a_call_started(world: World) -> None:
    call = await world.submit(command="(setsid sleep 61.5 &) ; trap '' TERM; echo up; sleep 61.5")
    async for _ in world.calls.output(call.id, follow=True):
        break
    await world.calls.cancel(call.id, AGENT, "no longer needed")
    ended = await world.end(call)
    assert (ended.state, ended.reason) == (CallState.CANCELLED, "no longer needed")
    assert await world.calls.cancel(call.id, AGENT) == ended

    def survivors() -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if b"61.5" in path.read_bytes():
                    found.append(str(path))
        return found

    await eventually(lambda: not survivors())


async def test_a_follower_sees_output_as_it_comes_and_then_the_end(world: World) -> None:
    call = await world.submit(command="echo one; until [ -e go ]; do sleep 0.01; done; echo two")
    follow = world.calls.output(call.id, follow=True)
    assert (await anext(follow)).data == b"one\n"
    (world.machine.work_dir / "go").touch()
    assert [chunk.data async for chunk in follow] == [b"two\n"]
    assert (await world.end(call)).exit_code == 0


async def test_a_follower_that_never_reads_delays_nobody(world: World) -> None:
    call = await world.submit(command="echo first; head -c 20000000 /dev/zero; echo last")
    stuck = world.calls.output(call.id, follow=True)
    await anext(stuck)
    ended = await world.end(call)
    assert ended.output_size == 20_000_011
    rest = [chunk async for chunk in stuck]
    assert sum(len(chunk.data) for chunk in rest) < 20_000_011


async def test_following_from_an_offset_leaves_out_what_was_seen(world: World) -> None:
    call = await world.run("printf 0123456789")
    found = [chunk.data async for chunk in world.calls.output(call.id, after=4, follow=True)]
    assert b"".join(found) == b"456789"


async def test_secrets_are_stars_in_what_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_TOKEN", "s3cr3t-value")
    world.set_profile(secrets=("PIP_TOKEN",))
    call = await world.run("echo $PIP_TOKEN; printf s3cr; sleep 0.1; echo 3t-value; printf s3")
    assert await world.text(call) == "************\n************\ns3"
    assert "s3cr3t" not in repr(call)


async def test_files_are_written_read_edited_and_found(world: World) -> None:
    wrote = await world.end(await world.submit("write_file", path="src/a.txt", content="abcabc"))
    assert wrote.result == {"path": "src/a.txt", "size": 6}
    read = await world.end(await world.submit("read_file", path="src/a.txt", offset=2, limit=3))
    assert (read.result, world.calls.body(read.id)) == ({"size": 3}, b"cab")
    edit = await world.submit("edit_file", path="src/a.txt", old="b", new="X", replace_all=True)
    assert (await world.end(edit)).result["occurrences"] == 2
    found = await world.end(await world.submit("glob", pattern="**/*.txt"))
    assert [entry["size"] for entry in found.result["entries"]] == [6]
    lines = await world.end(await world.submit("grep", pattern="aXc"))
    assert lines.result["matches"][0]["line"] == "aXcaXc"
    stat = await world.end(await world.submit("ls", path="src/a.txt", stat=True))
    assert stat.result["entries"][0]["kind"] == "file"


async def test_a_failed_file_tool_says_why(world: World) -> None:
    call = await world.end(await world.submit("read_file", path="none"))
    error = error_of(call)
    assert call.state is CallState.FAILED
    assert error is not None
    assert (error.code, getattr(error, "errno_name", "")) == ("file", "ENOENT")


async def test_a_long_list_is_kept_beside_the_row(world: World) -> None:
    folder = world.machine.work_dir / "many"
    folder.mkdir()
    for number in range(3000):
        (folder / f"{number:04}-{'x' * 60}").touch()
    call = await world.end(await world.submit("ls", path="many"))
    assert call.result == {"in_output": True, "count": 3000}
    assert len(world.calls.result(call)["entries"]) == 3000


async def test_a_body_is_written_whole_and_not_kept_afterwards(
    world: World, tmp_path: Path
) -> None:
    for size in (1000, 3_000_000):
        data = os.urandom(size)
        body = Body(size, hashlib.sha256(data).hexdigest(), data)
        submit = Submit(MAIN, "write_file", {"path": "body"}, body=body)
        call = await world.end(await world.calls.submit(submit, AGENT))
        assert call.result == {"path": "body", "size": size}
        assert (world.machine.work_dir / "body").read_bytes() == data
        assert world.store.body(call.id) is None


async def test_a_body_that_is_not_what_its_hash_says_is_not_written(world: World) -> None:
    submit = Submit(MAIN, "write_file", {"path": "body"}, body=Body(3, "0" * 64, b"abc"))
    call = await world.end(await world.calls.submit(submit, AGENT))
    assert call.state is CallState.FAILED
    assert not (world.machine.work_dir / "body").exists()


async def test_the_same_key_is_the_same_call_and_another_request_a_conflict(world: World) -> None:
    def submit(command: str) -> Submit:
        return Submit(MAIN, "execute", {"command": command}, idempotency_key="k-1")

    first = await world.calls.submit(submit("echo x >> ran"), AGENT)
    await world.end(first)
    again = await world.calls.submit(submit("echo x >> ran"), AGENT)
    assert (again.id, again.state) == (first.id, CallState.FINISHED)
    assert world.machine.lines("ran") == ["x"]
    with pytest.raises(ConflictError, match="k-1"):
        await world.calls.submit(submit("echo y >> ran"), AGENT)


@pytest.mark.parametrize(
    ("tool", "args", "words"),
    [
        ("execute", {}, "command"),
        ("execute", {"command": "a", "argv": ["a"]}, "not both"),
        ("execute", {"command": "  "}, "empty"),
        ("execute", {"command": 1}, "command must be a text"),
        ("execute", {"comand": "ls", "command": "ls"}, "did you mean 'command'"),
        ("execute", {"command": "a\0b"}, "NUL"),
        ("execute", {"command": "\ud800"}, "Unicode"),
        ("execute", {"command": "x" * 200_000}, "bytes long"),
        ("execute", {"argv": ["a", 1]}, "argv"),
        ("execute", {"argv": []}, "argv is empty"),
        ("execute", {"command": "a", "timeout": 4000}, "timeout"),
        ("execute", {"command": "a", "timeout": 0}, "timeout"),
        ("execute", {"command": "a", "timeout": float("nan")}, "timeout"),
        ("execute", {"command": "a", "timeout": True}, "timeout"),
        ("execute", {"command": "a", "env": {"A=B": "x"}}, "env"),
        ("execute", {"command": "a", "env": {"A": 1}}, "env.A"),
        ("execute", {"command": "a", "pty": {"rows": 0}}, "rows"),
        ("execute", {"command": "a", "pty": {"row": 1}}, "did you mean 'rows'"),
        ("read_file", {}, "path is missing"),
        ("read_file", {"path": ""}, "path is empty"),
        ("read_file", {"path": "a", "offset": -1}, "offset"),
        ("read_file", {"path": "x" * 5000}, "path"),
        ("write_file", {"path": "a"}, "content"),
        ("write_file", {"path": "a", "content": "x", "content_base64": "eA=="}, "only one"),
        ("write_file", {"path": "a", "content_base64": "!"}, "base64"),
        ("write_file", {"path": "a", "content": "x", "mode": 0o10000}, "mode"),
        ("edit_file", {"path": "a", "old": "", "new": "x"}, "old is empty"),
        ("edit_file", {"path": "a", "old": "x"}, "new is missing"),
        ("grep", {"pattern": "x", "ignore_hidden": 1}, "ignore_hidden"),
        ("glob", {"pattern": "x", "hiden": True}, "did you mean 'hidden'"),
        ("../tool", {}, "not a tool's name"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_and_nothing_is_stored(
    world: World, tool: str, args: dict[str, object], words: str
) -> None:
    with pytest.raises(ArgumentsError) as refused:
        await world.calls.submit(Submit(MAIN, tool, args), AGENT)
    assert words in str(refused.value)
    assert world.calls.list() == []


async def test_content_that_is_too_large_for_json_says_what_to_do(world: World) -> None:
    with pytest.raises(TooLargeError) as refused:
        await world.submit("write_file", path="a", content="x" * (2 << 20))
    assert "body" in refused.value.next_step


async def test_an_unknown_call_or_profile_is_not_found(world: World) -> None:
    with pytest.raises(NotFoundError):
        world.calls.get("0123456789")
    submit = Submit(MAIN, "execute", {"command": "a"}, profile=ProfileName("other"))
    with pytest.raises(NotFoundError):
        await world.calls.submit(submit, AGENT)


async def test_output_that_was_pruned_is_gone(world: World) -> None:
    call = await world.run("echo x")
    world.store._connection.execute("DELETE FROM outputs")
    with pytest.raises(GoneError):
        await world.text(call)


async def test_a_caller_who_waits_is_told_at_once_that_the_engine_is_down(world: World) -> None:
    world.sessions.is_down = True
    call = await world.run("true")
    assert call.state is CallState.FAILED
    assert isinstance(error_of(call), EngineDownError)


async def test_a_job_waits_for_the_engine_and_can_be_taken_back_meanwhile(world: World) -> None:
    world.sessions.is_down = True
    jobs = [
        await world.calls.submit(
            Submit(MAIN, "execute", {"command": "echo ran"}, background=True), AGENT
        )
        for _ in range(2)
    ]
    await world.calls.cancel(jobs[0].id, AGENT)
    assert (await world.end(jobs[0])).state is CallState.CANCELLED
    assert world.calls.get(jobs[1].id).state is CallState.ADMITTED
    world.sessions.is_down = False
    assert (await world.end(jobs[1])).exit_code == 0
    assert world.calls.get(jobs[0].id).state is CallState.CANCELLED


async def test_a_caller_waits_for_a_stuck_engine_as_long_as_its_call_may_take(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_LEAST_PATIENCE", 0.05)
    world.sessions.is_stuck = True
    ended = await world.end(await world.submit_for(0.3, "true"))
    assert (ended.state, ended.reason[:26]) == (CallState.FAILED, "main was not ready within ")
    assert world.sessions.waited_for == pytest.approx(0.3, abs=0.05)
    await world.end(await world.submit_for(0.001, "true"))
    assert world.sessions.waited_for == pytest.approx(0.1)
    job = await world.submit_for(0.01, "true", background=True)
    await asyncio.sleep(0.3)
    assert world.calls.get(job.id).state is CallState.ADMITTED
    await world.calls.cancel(job.id, AGENT)
    assert (await world.end(job)).state is CallState.CANCELLED


async def test_on_a_full_disk_nothing_new_runs_and_what_runs_ends_afterwards(world: World) -> None:
    await world.run("true")
    running = await world.submit(command="until [ -e go ]; do sleep 0.01; done; echo x >> ran")
    await eventually(lambda: world.calls.get(running.id).state is CallState.RUNNING)
    execute = world.store._connection.execute
    execute("CREATE TABLE filler (data BLOB)")
    (pages,) = execute("PRAGMA page_count").fetchone()
    execute(f"PRAGMA max_page_count = {pages}")
    refused = 0
    while not refused:
        try:
            await world.submit(command=f"echo {'x' * 3000} >> refused")
        except LimitError:
            refused = 1
    count = len(world.calls.list())
    (world.machine.work_dir / "go").touch()
    await eventually(lambda: world.machine.lines("ran") == ["x"])
    execute("PRAGMA max_page_count = 1000000")
    assert (await world.end(running)).exit_code == 0
    assert len(world.calls.list()) == count
    assert (await world.run("true")).exit_code == 0
