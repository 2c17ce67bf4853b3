"""What every engine promises: the same tests on the fake and on the real one."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import replace

import pytest

from deepd.engine.base import Engine
from deepd.errors import EngineError, ImageNotFoundError
from deepd.guest.connection import Guest
from deepd.model.ids import ContainerId, SessionName
from deepd.model.profile import Build, Limits
from deepd.model.sandbox import Sandbox, SandboxState, sandbox_name
from tests.engine.conftest import Place, output, shell
from tests.images import BUSYBOX


async def observed(engine: Engine, container: ContainerId) -> Sandbox:
    return next(sandbox for sandbox in await engine.observe() if sandbox.id == container)


async def reached(engine: Engine, container: ContainerId, state: SandboxState) -> Sandbox:
    """Look again until the sandbox is in that state."""
    for _ in range(500):
        found = await observed(engine, container)
        if found.state is state:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"still {found.state} after 10 s")


def no_progress(text: str, fraction: float | None) -> None:
    """Hear of progress and do nothing."""


def require_images(place: Place) -> None:
    """Leave out an engine that makes sandboxes of what is installed on this machine."""
    if place.local is not None:
        pytest.skip("this engine has no images")


def require_cgroups(place: Place) -> None:
    """Leave out where the engine has no way to freeze, limit or measure a sandbox."""
    if not place.has_cgroups:
        pytest.skip("rootless podman on cgroup v1 has no cgroups")


async def test_the_engine_says_who_it_is(place: Place) -> None:
    info = await place.engine().info()
    assert info.name
    assert info.endpoint
    assert info.version
    assert info.isolation


async def test_a_created_sandbox_is_observed_as_its_spec_says(place: Place) -> None:
    engine = place.engine()
    container = await engine.create(place.spec("main"))
    [sandbox] = await engine.observe()
    assert sandbox.created_at > 1_500_000_000
    assert bool(sandbox.isolation) is (place.local is not None or not place.has_cgroups)
    assert replace(sandbox, created_at=0.0, isolation="", lane="") == Sandbox(
        id=container,
        name=sandbox_name(place.instance, SessionName("main")),
        session=SessionName("main"),
        profile=place.spec().profile,
        state=SandboxState.CREATED,
        spec_hash="abc",
        image=await engine.ensure_image(BUSYBOX, no_progress),
        generation=3,
    )


async def test_sandboxes_of_another_instance_are_invisible(place: Place) -> None:
    ours, theirs = place.engine(), place.engine(place.instance + "0")
    await theirs.create(place.spec(instance=place.instance + "0"))
    assert await ours.observe() == []
    assert len(await theirs.observe()) == 1


async def test_a_second_container_of_a_session_is_a_conflict(place: Place) -> None:
    engine = place.engine()
    first = await engine.create(place.spec())
    with pytest.raises(EngineError, match="exists already"):
        await engine.create(place.spec())
    assert [sandbox.id for sandbox in await engine.observe()] == [first]


async def test_a_new_engine_object_finds_what_the_last_one_made(place: Place) -> None:
    engine = place.engine()
    container = await place.run(engine)
    await engine.aclose()
    assert (await observed(place.engine(), container)).state is SandboxState.RUNNING


async def test_start_stop_and_remove_may_be_repeated(place: Place) -> None:
    engine = place.engine()
    container = await engine.create(place.spec())
    await engine.stop(container)
    await engine.start(container)
    await engine.start(container)
    assert (await observed(engine, container)).state is SandboxState.RUNNING
    await engine.stop(container)
    await engine.stop(container)
    assert (await observed(engine, container)).state is SandboxState.STOPPED
    await engine.remove(container)
    await engine.remove(container)
    await engine.stop(container)
    assert await engine.observe() == []


async def test_removing_does_not_need_a_stop_first(place: Place) -> None:
    engine = place.engine()
    await engine.remove(await place.run(engine))
    assert await engine.observe() == []


async def test_who_removes_what_another_is_removing_returns_when_it_is_gone(place: Place) -> None:
    engine = place.engine()
    container = await place.run(engine)

    async def remove() -> bool:
        await engine.remove(container)
        return await engine.observe() == []

    assert await asyncio.gather(*(remove() for _ in range(4))) == [True] * 4


async def test_a_stopped_guest_ends_well_and_starts_again(place: Place) -> None:
    engine = place.engine()
    container = await place.run(engine)
    before = (await place.guest(engine, container)).info.boot
    await engine.stop(container)
    assert (await reached(engine, container, SandboxState.STOPPED)).exit_code == 0
    await engine.start(container)
    assert (await place.guest(engine, container)).info.boot != before


async def test_a_killed_container_is_seen_with_its_exit_code(place: Place) -> None:
    engine = place.engine()
    container = await place.run(engine)
    place.kill(container)
    assert (await reached(engine, container, SandboxState.STOPPED)).exit_code == 137


async def test_the_guest_answers_through_the_stream(place: Place) -> None:
    engine = place.engine()
    guest = await place.guest(engine, await place.run(engine))
    assert guest.info.version == 1
    assert await output(guest, "echo", "hello") == b"hello\n"


async def test_letting_go_and_attaching_again_finds_the_same_guest(place: Place) -> None:
    engine = place.engine()
    container = await place.run(engine)
    first = await place.guest(engine, container)
    await first.aclose()
    for _ in range(3):
        again = await place.guest(engine, container)
        assert again.info.boot == first.info.boot
        await again.aclose()


async def test_large_output_comes_whole(place: Place) -> None:
    engine = place.engine()
    guest = await place.guest(engine, await place.run(engine))
    printed = await shell(guest, "dd if=/dev/zero bs=65536 count=160 2>/dev/null")
    assert len(printed) == 160 * 65536


async def test_the_stream_ends_when_the_container_does(place: Place) -> None:
    engine = place.engine()
    container = await place.run(engine)
    stream = await engine.open(container)
    place.kill(container)
    async with asyncio.timeout(10):
        while await stream.read():
            pass
    assert await stream.read() == b""
    with pytest.raises(EngineError):
        await stream.drain()
    await stream.aclose()


@pytest.mark.parametrize("state", [SandboxState.CREATED, SandboxState.STOPPED, SandboxState.PAUSED])
async def test_there_is_nothing_to_attach_to_in_a_sandbox_that_does_not_run(
    place: Place, state: SandboxState
) -> None:
    engine = place.engine()
    container = await engine.create(place.spec())
    if state is not SandboxState.CREATED:
        await engine.start(container)
    if state is SandboxState.STOPPED:
        await engine.stop(container)
    if state is SandboxState.PAUSED:
        require_cgroups(place)
        await engine.pause(container)
    with pytest.raises(EngineError):
        await engine.open(container)


async def test_pause_and_resume_may_be_repeated(place: Place) -> None:
    require_cgroups(place)
    engine = place.engine()
    container = await place.run(engine)
    await engine.pause(container)
    await engine.pause(container)
    assert (await observed(engine, container)).state is SandboxState.PAUSED
    await engine.resume(container)
    await engine.resume(container)
    guest = await place.guest(engine, container)
    assert await output(guest, "echo", "awake") == b"awake\n"


async def test_a_paused_sandbox_can_be_stopped(place: Place) -> None:
    require_cgroups(place)
    engine = place.engine()
    container = await place.run(engine)
    await engine.pause(container)
    await engine.stop(container)
    await reached(engine, container, SandboxState.STOPPED)


async def test_a_claim_gives_a_warm_sandbox_its_session(place: Place) -> None:
    engine = place.engine()
    spec = place.warm_spec()
    container = await place.run(engine, spec)
    assert (await observed(engine, container)).session is None
    await engine.claim(container, sandbox_name(place.instance, SessionName("main")))
    claimed = await observed(engine, container)
    assert (claimed.session, claimed.warm_id) == ("main", spec.warm_id)


async def test_a_claim_of_a_taken_name_changes_nothing(place: Place) -> None:
    engine = place.engine()
    await engine.create(place.spec("main"))
    warm = await engine.create(place.warm_spec())
    with pytest.raises(EngineError, match="exists already"):
        await engine.claim(warm, sandbox_name(place.instance, SessionName("main")))
    assert (await observed(engine, warm)).session is None


async def test_requests_about_a_container_that_is_gone_are_engine_errors(place: Place) -> None:
    engine = place.engine()
    gone = ContainerId("f" * 64)
    for request in (
        engine.start(gone),
        engine.pause(gone),
        engine.resume(gone),
        engine.claim(gone, "deepd-nobody"),
        engine.update(gone, Limits()),
        engine.stats(gone),
        engine.open(gone),
    ):
        with pytest.raises(EngineError):
            await request


async def test_stats_show_the_limits_and_a_change_of_them(place: Place) -> None:
    require_cgroups(place)
    engine = place.engine()
    container = await place.run(engine)
    await place.guest(engine, container)  # before it runs there is nothing to measure
    before = await engine.stats(container)
    assert before.memory_limit == 256 << 20
    assert 0 < before.memory < before.memory_limit
    assert before.pids >= 1
    await engine.update(container, Limits(memory=128 << 20, cpus=0.5, pids=32))
    assert (await engine.stats(container)).memory_limit == 128 << 20


async def test_stats_measure_the_cpu_between_two_looks(place: Place) -> None:
    require_cgroups(place)
    engine = place.engine()
    container = await place.run(engine)
    guest = await place.guest(engine, container)
    await engine.stats(container)
    await shell(guest, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
    assert 0.01 < (await engine.stats(container)).cpu < 8


async def test_stats_of_a_stopped_sandbox_are_an_error(place: Place) -> None:
    engine = place.engine()
    container = await engine.create(place.spec())
    with pytest.raises(EngineError, match="not running"):
        await engine.stats(container)


async def test_a_missing_image_is_named_with_what_to_do(place: Place) -> None:
    require_images(place)
    engine = place.engine()
    with pytest.raises(ImageNotFoundError, match="deepd-test/nowhere:1") as caught:
        await engine.create(place.spec(image="deepd-test/nowhere:1"))
    assert caught.value.next_step
    assert await engine.observe() == []


async def test_a_build_is_made_once_and_sandboxes_run_from_it(place: Place) -> None:
    require_images(place)
    engine = place.engine()
    build = Build(BUSYBOX, setup_commands=(f"echo 'it''s $HOME' > /etc/built-{place.instance}",))
    heard: list[str] = []
    digest = await engine.build_image(build, lambda text, _: heard.append(text))
    assert heard
    heard.clear()
    assert await engine.build_image(build, lambda text, _: heard.append(text)) == digest
    assert not heard
    container = await engine.create(place.spec(image=build.tag()))
    assert (await observed(engine, container)).image == digest


async def test_watch_wakes_at_first_and_after_a_death(place: Place) -> None:
    engine = place.engine()
    container = await place.run(engine)
    woken = asyncio.Event()

    async def watch() -> None:
        async for _ in engine.watch():
            woken.set()

    watching = asyncio.create_task(watch())
    try:
        await asyncio.wait_for(woken.wait(), 30)
        woken.clear()
        place.kill(container)
        await asyncio.wait_for(woken.wait(), 30)
        await reached(engine, container, SandboxState.STOPPED)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def test_files_written_inside_are_in_the_workspace_with_its_owner(place: Place) -> None:
    engine = place.engine()
    spec = place.spec()
    assert spec.workspace is not None
    guest: Guest = await place.guest(engine, await place.run(engine, spec))
    await shell(guest, "echo kept > file")
    written = spec.workspace / "file"
    assert written.read_text() == "kept\n"
    if place.podman and place.podman.rootless:  # root inside is the user who runs it
        assert (written.stat().st_uid, guest.info.uid) == (place.podman.owner, 0)
        return
    assert written.stat().st_uid == (1000 if os.geteuid() == 0 else os.geteuid())
    assert guest.info.uid == written.stat().st_uid


async def test_the_workspace_outlives_its_sandbox(place: Place) -> None:
    engine = place.engine()
    container = await place.run(engine)
    await shell(await place.guest(engine, container), "echo kept > file")
    await engine.remove(container)
    guest = await place.guest(engine, await place.run(engine))
    assert await shell(guest, "cat file") == "kept\n"
