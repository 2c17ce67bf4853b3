"""A sandbox's life: made at first use, shared, idle, stopped, killed; on the real engine."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from pathlib import Path

import pytest

from deepd import (
    AsyncDockerSandbox,
    CallLostError,
    DockerSandbox,
    EngineDownError,
    SandboxError,
    SandboxStopped,
)
from deepd.errors import ConflictError, EngineError
from tests.eventually import eventually_sync
from tests.images import AWKWARD
from tests.library.world import containers, kill, remove

pytestmark = pytest.mark.docker


def state(instance: str) -> str:
    """Return the state of an instance's only container, or `none`."""
    found = containers(instance)
    assert len(found) < 2
    return found[0].state if found else "none"


def test_nothing_is_made_before_the_first_operation(own: str) -> None:
    sandbox = DockerSandbox()
    assert not sandbox.is_alive()
    assert containers(own) == []
    sandbox.write("/test.py", "print('hello')")
    assert sandbox.is_alive()
    assert state(own) == "running"
    sandbox.stop()
    assert not sandbox.is_alive()
    assert containers(own) == []


def test_four_threads_racing_the_first_use_get_one_container(own: str) -> None:
    sandbox = DockerSandbox()
    names: list[str] = []
    barrier = threading.Barrier(4)

    def race() -> None:
        barrier.wait()
        names.append(sandbox.execute("cat /proc/sys/kernel/hostname").output)

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 4
    assert len(set(names)) == 1
    assert len(containers(own)) == 1
    sandbox.stop()


def test_stop_is_quick_and_final(own: str) -> None:
    sandbox = DockerSandbox()
    sandbox.execute("trap '' TERM; sleep 300 & echo up")
    began = time.monotonic()
    sandbox.stop()
    assert time.monotonic() - began < 2  # under 0.2 s where nobody else is at work
    sandbox.stop()
    for use in (
        lambda: sandbox.execute("true"),
        lambda: sandbox.write("/workspace/x", "x"),
        lambda: sandbox.read("/workspace/x"),
        sandbox.start,
    ):
        with pytest.raises(SandboxStopped, match="was stopped"):
            use()
    assert containers(own) == []


def test_stop_before_the_first_use_is_final_too(own: str) -> None:
    sandbox = DockerSandbox()
    sandbox.stop()
    with pytest.raises(SandboxStopped):
        sandbox.execute("true")
    assert containers(own) == []


def test_a_call_under_way_hears_of_the_stop(own: str) -> None:
    sandbox = DockerSandbox()
    sandbox.start()
    heard: list[BaseException] = []

    def call() -> None:
        try:
            sandbox.execute("touch begun; sleep 300")
        except SandboxError as error:
            heard.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    eventually_sync(lambda: sandbox.exists("begun"))
    sandbox.stop()
    thread.join(10)
    assert [type(error) for error in heard] == [SandboxStopped]


def test_with_starts_and_stops(own: str) -> None:
    with DockerSandbox() as sandbox:
        assert state(own) == "running"
        assert sandbox.execute("echo in").output == "in\n"
    assert containers(own) == []


async def test_async_with_and_await_start_without_blocking_the_loop(own: str) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.005)

    counting = asyncio.create_task(count())
    async with DockerSandbox() as sandbox:
        assert turns > 5
        assert await sandbox is sandbox
        assert sandbox.read_bytes("/etc/hostname")
    counting.cancel()
    assert containers(own) == []


async def test_the_asyncio_twin_works_on_the_callers_loop(own: str) -> None:
    async with AsyncDockerSandbox() as sandbox:
        assert await sandbox is sandbox
        done = await asyncio.gather(*(sandbox.execute(f"echo {number}") for number in range(8)))
        assert [one.output for one in done] == [f"{number}\n" for number in range(8)]
        assert (await sandbox.write("a.txt", "text")).error is None
        assert await sandbox.read("a.txt") == "text"
        assert await sandbox.is_alive()
    with pytest.raises(SandboxStopped):
        await sandbox.execute("true")
    assert containers(own) == []


def test_an_asyncio_twin_is_not_for_two_loops(own: str) -> None:
    sandbox = AsyncDockerSandbox()
    with asyncio.Runner() as first, asyncio.Runner() as second:
        assert first.run(sandbox.execute("echo first")).output == "first\n"
        with pytest.raises(ConflictError, match="another event loop"):
            second.run(sandbox.execute("true"))
        first.run(sandbox.stop())
    assert containers(own) == []


async def test_a_cancelled_command_is_ended_in_the_sandbox(own: str) -> None:
    async with AsyncDockerSandbox() as sandbox:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await sandbox.execute("sleep 4321")
        for _ in range(100):
            listed = await sandbox.execute("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
            if "sleep 4321" not in listed.output:
                return
            await asyncio.sleep(0.05)
    pytest.fail(f"still there: {listed.output}")


def test_a_killed_container_is_said_to_be_dead_and_is_not_replaced(own: str) -> None:
    sandbox = DockerSandbox()
    sandbox.execute("touch /workspace/file")
    kill(containers(own)[0])
    eventually_sync(lambda: not sandbox.is_alive())
    with pytest.raises(SandboxError, match="ended with exit code 137"):
        sandbox.execute("true")
    with pytest.raises(SandboxError, match="ended with exit code 137"):
        sandbox.write("/workspace/file", "x")
    assert state(own) == "exited"
    sandbox.stop()
    assert containers(own) == []


def test_a_command_hears_that_its_container_was_killed(own: str) -> None:
    sandbox = DockerSandbox()
    sandbox.start()
    timer = threading.Timer(0.5, lambda: kill(containers(own)[0]))
    timer.start()
    with pytest.raises(CallLostError, match="ended with exit code 137; whether this call had"):
        sandbox.execute("sleep 300")
    sandbox.stop()


def test_a_removed_container_is_not_replaced_by_an_empty_one(own: str) -> None:
    sandbox = DockerSandbox(session_id="mine")
    sandbox.write("/workspace/file", "x")
    remove(containers(own)[0])
    eventually_sync(lambda: not sandbox.is_alive())
    with pytest.raises(SandboxError, match="was removed"):
        sandbox.read("/workspace/file")
    assert containers(own) == []
    with DockerSandbox(session_id="mine") as again:
        assert not again.exists("/workspace/file")


def test_an_idle_sandbox_stops_and_goes_on_with_its_files(own: str) -> None:
    sandbox = DockerSandbox(idle_timeout=1)
    sandbox.write("/outside", "of any volume")
    began = time.monotonic()
    sandbox.execute("sleep 2")
    assert state(own) == "running", "a command is work"
    assert time.monotonic() - began > 2
    eventually_sync(lambda: state(own) == "exited")
    assert not sandbox.is_alive()
    assert sandbox.read("/outside") == "of any volume"
    assert state(own) == "running"
    sandbox.stop()
    assert containers(own) == []


def test_an_idle_sandbox_that_nobody_has_any_more_is_removed(own: str) -> None:
    DockerSandbox(session_id="named", idle_timeout=0.5).start()
    eventually_sync(lambda: not containers(own))


def test_a_sandbox_without_a_name_goes_with_its_object(own: str) -> None:
    sandbox = DockerSandbox()
    same = DockerSandbox(session_id=sandbox.id)
    assert sandbox.execute("sleep 300 & echo on").output == "on\n"
    assert same.execute("echo shared").output == "shared\n"
    del sandbox
    gc.collect()
    assert same.execute("echo still mine").output == "still mine\n"
    same.stop()
    assert DockerSandbox().execute("echo alone").output == "alone\n"
    gc.collect()
    eventually_sync(lambda: not containers(own))


def test_two_objects_of_one_session_share_a_container(own: str) -> None:
    one, two = DockerSandbox(session_id="shared"), DockerSandbox(session_id="shared")
    one.write("/workspace/file", "from one")
    assert two.read("/workspace/file") == "from one"
    assert len(containers(own)) == 1
    one.stop()
    with pytest.raises(SandboxStopped):
        two.read("/workspace/file")
    with DockerSandbox(session_id="shared") as new:
        assert not new.exists("/workspace/file")


def test_one_session_is_not_two_kinds_of_sandbox(own: str) -> None:
    with DockerSandbox(session_id="shared"):
        other = DockerSandbox(session_id="shared", work_dir="/elsewhere")
        with pytest.raises(ConflictError, match="another image, volumes or settings"):
            other.execute("true")
    assert containers(own) == []


def test_without_auto_remove_the_next_one_goes_on(own: str) -> None:
    first = DockerSandbox(session_id="kept", auto_remove=False)
    first.write("/outside", "still here")
    first.stop()
    assert state(own) == "exited"
    DockerSandbox(session_id="other").execute("true")
    assert len(containers(own, "kept")) == 1
    other = DockerSandbox(session_id="kept", auto_remove=False, work_dir="/else")
    with pytest.raises(ConflictError, match=r"docker rm -f deepd-lib-\w+-kept"):
        other.execute("true")
    second = DockerSandbox(session_id="kept")
    assert second.read("/outside") == "still here"
    second.stop()
    assert containers(own, "kept") == []


def test_volumes_outlive_the_container_and_can_be_read_only(own: str, root: Path) -> None:
    host, data = root / "new" / "folder", root / "data"
    data.mkdir()
    data.chmod(0o777)
    (data / "file").write_text("given")
    (data / "file").chmod(0o666)
    volumes = {str(host): "/workspace", str(data): "/data:ro"}
    with DockerSandbox(volumes=volumes) as first:
        first.write("/workspace/data.json", '{"key": "value"}')
        assert first.read("/data/file") == "given"
        assert "read-only" in str(first.write("/data/file", "mine").error)
    assert (host / "data.json").read_text() == '{"key": "value"}'
    with DockerSandbox(volumes=volumes) as second:
        assert second.read("/workspace/data.json") == '{"key": "value"}'


def test_a_work_dir_of_ones_own_belongs_to_the_commands(own: str) -> None:
    with DockerSandbox(work_dir="/srv/app/inner") as sandbox:
        done = sandbox.execute("pwd; stat -c %u:%g . /srv/app/inner; touch x && echo written")
        assert done.output.split() == ["/srv/app/inner", "1000:1000", "1000:1000", "written"]


def test_what_an_image_does_at_its_start_does_not_matter(own: str) -> None:
    with DockerSandbox(AWKWARD) as sandbox:
        assert sandbox.execute("id -u; pwd").output == "1000\n/workspace\n"


def test_a_missing_image_is_one_error_that_names_it_and_what_to_do(own: str) -> None:
    sandbox = DockerSandbox("deepd-test.invalid/no-such-image:1")
    with pytest.raises(EngineError, match=r"deepd-test\.invalid/no-such-image:1") as caught:
        sandbox.execute("true")
    assert caught.value.next_step
    assert caught.value.next_step in str(caught.value)
    sandbox.stop()
    assert containers(own) == []


def test_no_engine_is_one_error_that_names_the_endpoint_and_what_to_do(tmp_path: Path) -> None:
    sandbox = DockerSandbox(docker_host=f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineDownError, match=r"none\.sock") as caught:
        sandbox.write("/workspace/x", "x")
    assert "DOCKER_HOST" in str(caught.value)
    sandbox.stop()


def test_a_network_that_is_not_there_is_an_error_and_leaves_nothing(own: str) -> None:
    sandbox = DockerSandbox(network="deepd-test-no-such-network")
    with pytest.raises(EngineError, match="deepd-test-no-such-network"):
        sandbox.start()
    sandbox.stop()
    assert containers(own) == []


def test_there_is_no_network_unless_it_is_asked_for(own: str) -> None:
    with DockerSandbox() as sandbox:
        assert sandbox.execute("ls /sys/class/net").output.split() == ["lo"]


def test_limits_are_the_engine_s(own: str) -> None:
    with DockerSandbox(memory="64m", pids=32) as sandbox:
        forks = "for i in $(seq 100); do sleep 5 & done 2>/dev/null; jobs | wc -l"
        assert int(sandbox.execute(f"({forks}) 2>/dev/null || echo 0").output.split()[-1]) < 32
        hog = sandbox.execute("python3 -c 'x = bytearray(512 << 20)'")
        assert hog.exit_code != 0
