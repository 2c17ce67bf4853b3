"""What only a real engine can show: hardening, odd images, builds, pulls, the guest's volume."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound

from deepd.engine.docker import DockerEngine
from deepd.errors import EngineError, EngineRefusedError, ImageNotFoundError
from deepd.guest.binary import guest_binary
from deepd.model.profile import Build, Limits, Security, Volume
from deepd.model.sandbox import SandboxState
from tests.engine.conftest import Place, output, shell
from tests.engine.test_contract import no_progress, reached
from tests.eventually import eventually
from tests.images import AWKWARD, BUSYBOX, EMPTY, PYTHON, engine_api

pytestmark = pytest.mark.docker


async def test_the_hardening_is_really_on(docker_place: Place) -> None:
    engine = docker_place.engine()
    container = await docker_place.run(engine)
    config = engine_api().inspect_container(container)
    host = config["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert sorted(host["CapAdd"]) == ["KILL", "SETGID", "SETUID"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["PidsLimit"] == 64
    assert host["Memory"] == host["MemorySwap"] == 256 << 20
    assert host["NanoCpus"] == 1_000_000_000
    assert host["NetworkMode"] == "none"
    assert host["LogConfig"]["Type"] == "none"
    assert not host["AutoRemove"]
    assert not host["Privileged"]
    assert host["RestartPolicy"]["Name"] == "no"
    [guest] = [mount for mount in config["Mounts"] if mount["Destination"] == "/.deepd"]
    assert guest["RW"] is False
    assert Path(f"/proc/{config['State']['Pid']}").exists()


async def test_a_command_has_no_capabilities_and_cannot_gain_any(docker_place: Place) -> None:
    engine = docker_place.engine()
    guest = await docker_place.guest(engine, await docker_place.run(engine))
    lines = (await shell(guest, "cat /proc/self/status")).splitlines()
    status = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    kill_setgid_setuid = 0b111 << 5
    assert int(status["CapBnd"], 16) & ~kill_setgid_setuid == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["Uid"].split() == ["1000"] * 4


async def test_a_sandbox_has_no_network_but_loopback(docker_place: Place) -> None:
    engine = docker_place.engine()
    guest = await docker_place.guest(engine, await docker_place.run(engine))
    assert (await shell(guest, "ls /sys/class/net")).split() == ["lo"]


LISTEN = (
    "import socket; here = socket.create_server(('localhost', 0));"
    " socket.create_connection(here.getsockname()).close(); print(socket.gethostname())"
)


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_sandbox_without_a_network_talks_to_itself_by_name(
    docker_place: Place, *, read_only: bool
) -> None:
    engine = docker_place.engine()
    spec = docker_place.spec(image=PYTHON, security=Security(read_only=read_only))
    container = await docker_place.run(engine, spec)
    guest = await docker_place.guest(engine, container)
    assert not guest.info.warnings
    assert await output(guest, "python3", "-c", LISTEN) == container[:12].encode() + b"\n"
    hosts = (await shell(guest, "grep -c localhost /etc/hosts")).strip()
    if not read_only:
        # Another start finds what the first one wrote.
        await guest.aclose()
        await engine.stop(container)
        await engine.start(container)
        guest = await docker_place.guest(engine, container)
    assert (await shell(guest, "grep -c localhost /etc/hosts")).strip() == hosts


async def test_a_sandbox_without_a_network_shares_none(docker_place: Place) -> None:
    engine = docker_place.engine()
    first, second = [
        await docker_place.guest(engine, await docker_place.run(engine, docker_place.spec(name)))
        for name in ("first", "second")
    ]
    own = {(await shell(guest, "readlink /proc/self/ns/net")).strip() for guest in (first, second)}
    assert len(own | {str(Path("/proc/self/ns/net").readlink())}) == 3
    said = await shell(first, "cat /proc/net/route; cat /proc/net/if_inet6 | wc -l")
    assert said.splitlines()[1:] == ["1"], said


async def test_a_read_only_sandbox_writes_only_to_its_workspace_and_tmp(
    docker_place: Place,
) -> None:
    engine = docker_place.engine()
    spec = docker_place.spec(security=Security(read_only=True))
    guest = await docker_place.guest(engine, await docker_place.run(engine, spec))
    said = await shell(guest, "echo x > /root-file; echo x > /tmp/a && echo x > b && echo both")
    assert "Read-only file system" in said
    assert said.endswith("both\n")


async def test_the_guests_folder_cannot_be_written(docker_place: Place) -> None:
    engine = docker_place.engine()
    guest = await docker_place.guest(engine, await docker_place.run(engine))
    said = await shell(guest, "rm -f /.deepd/guest; echo x > /.deepd/x; ls /.deepd")
    assert said.endswith("guest\n")
    assert "Read-only" in said


async def test_an_awkward_image_runs_the_guest_all_the_same(docker_place: Place) -> None:
    engine = docker_place.engine()
    container = await docker_place.run(engine, docker_place.spec(image=AWKWARD))
    guest = await docker_place.guest(engine, container)
    assert guest.info.uid == 1000
    config = engine_api().inspect_container(container)
    assert "Health" not in config["State"]
    [volume] = [mount["Name"] for mount in config["Mounts"] if mount["Destination"] == "/data"]
    await guest.aclose()
    await engine.remove(container)
    with pytest.raises(NotFound):
        engine_api().inspect_volume(volume)


async def test_an_image_without_a_shell_has_a_guest(docker_place: Place) -> None:
    engine = docker_place.engine()
    container = await docker_place.run(engine, docker_place.spec(image=EMPTY))
    assert (await docker_place.guest(engine, container)).info.shell == ""


async def test_changed_limits_are_in_force_at_once(docker_place: Place) -> None:
    engine = docker_place.engine()
    container = await docker_place.run(engine)
    guest = await docker_place.guest(engine, container)
    await engine.update(container, Limits(memory=100 << 20, cpus=0.5, pids=20))
    read = "cat /sys/fs/cgroup/{0} 2>/dev/null || cat /sys/fs/cgroup/{1}"
    memory = await shell(guest, read.format("memory.max", "memory/memory.limit_in_bytes"))
    pids = await shell(guest, read.format("pids.max", "pids/pids.max"))
    assert (int(memory), int(pids)) == (100 << 20, 20)


async def test_stopping_a_sandbox_that_runs_takes_less_than_a_second(docker_place: Place) -> None:
    engine = docker_place.engine()
    container = await docker_place.run(engine)
    guest = await docker_place.guest(engine, container)
    assert await shell(guest, "sleep 100 & echo started") == "started\n"
    began = time.monotonic()
    await engine.stop(container)
    assert time.monotonic() - began < 1.0
    assert (await reached(engine, container, SandboxState.STOPPED)).exit_code == 0


async def test_read_only_and_writable_volumes_are_mounted_as_said(
    docker_place: Place, tmp_path: Path
) -> None:
    (tmp_path / "given").write_text("given\n")
    engine = docker_place.engine()
    volume = Volume(source=str(tmp_path), target="/given", read_only=True)
    guest = await docker_place.guest(
        engine, await docker_place.run(engine, docker_place.spec(volumes=(volume,), user="root"))
    )
    assert await shell(guest, "cat /given/given; touch /given/x || echo refused") != "given\n"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"security": Security(runtime="deepd-no-such-runtime")}, "runtime"),
        ({"security": Security(network="deepd-no-such-network")}, "network"),
        ({"volumes": (Volume("/deepd-no-such-folder", "/x"),)}, "/deepd-no-such-folder"),
        ({"limits": Limits(memory=1024)}, "emory"),
    ],
)
async def test_what_the_engine_will_never_do_is_a_refusal_that_says_so(
    docker_place: Place, changes: dict[str, Any], says: str
) -> None:
    engine = docker_place.engine()
    with pytest.raises(EngineRefusedError, match=says) as caught:
        await docker_place.run(engine, docker_place.spec(**changes))
    assert caught.value.next_step


async def test_a_build_runs_its_setup_commands(docker_place: Place) -> None:
    engine = docker_place.engine()
    text = f"quotes ' \" and $HOME, {docker_place.instance}"
    write = f"printf '%s' '{text.replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}' > /built"
    build = Build(BUSYBOX, setup_commands=("mkdir /made &&\n  touch /made/file", write))
    fractions: list[float] = []
    await engine.build_image(build, lambda _, done: fractions.append(done or 0.0))
    try:
        assert fractions == sorted(fractions)
        spec = docker_place.spec(image=build.tag())
        guest = await docker_place.guest(engine, await docker_place.run(engine, spec))
        assert await shell(guest, "cat /built; ls /made") == f"{text}file\n"
    finally:
        await docker_place.aclose()
        engine_api().remove_image(build.tag(), force=True)


async def test_a_build_that_fails_says_what_was_printed(docker_place: Place) -> None:
    engine = docker_place.engine()
    build = Build(BUSYBOX, setup_commands=(f"echo {docker_place.instance} went wrong; exit 3",))
    with pytest.raises(EngineRefusedError, match=f"{docker_place.instance} went wrong"):
        await engine.build_image(build, no_progress)


async def test_those_who_wait_for_the_same_build_share_it(docker_place: Place) -> None:
    engine = docker_place.engine()
    build = Build(BUSYBOX, setup_commands=(f"sleep 0.3; echo {docker_place.instance} > /built",))
    heard: list[list[str]] = [[], [], []]

    def listen(to: list[str]) -> Callable[[str, float | None], None]:
        return lambda text, _: to.append(text)

    digests = await asyncio.gather(*(engine.build_image(build, listen(to)) for to in heard))
    engine_api().remove_image(build.tag(), force=True)
    assert len(set(digests)) == 1
    step = next(text for text in heard[0] if "sleep 0.3" in text)
    assert [texts.count(step) for texts in heard] == [heard[0].count(step)] * 3


async def test_a_build_that_nobody_waits_for_any_more_is_stopped(docker_place: Place) -> None:
    engine = docker_place.engine()
    marker = f"sleep 1000; echo {docker_place.instance}"
    begun = asyncio.Event()

    def listen(text: str, _: float | None) -> None:
        if marker in text:
            begun.set()

    def builders() -> list[str]:
        # One that runs has nothing to print any more: no line comes that would end the reading.
        return [row["Id"] for row in engine_api().containers() if marker in row["Command"]]

    build = Build(BUSYBOX, setup_commands=(marker,))
    first = asyncio.create_task(engine.build_image(build, no_progress))
    second = asyncio.create_task(engine.build_image(build, listen))
    await asyncio.wait_for(begun.wait(), 20)
    await eventually(builders)
    first.cancel()
    await asyncio.wait([first])
    assert not second.done()
    second.cancel()
    await asyncio.wait([second])
    await eventually(lambda: not builders())


async def test_an_image_that_cannot_be_pulled_is_named_with_what_to_do(
    docker_place: Place,
) -> None:
    engine = docker_place.engine()
    image = "localhost:1/deepd-test/nowhere:1"
    with pytest.raises(EngineError, match=image) as caught:
        await engine.ensure_image(image, no_progress)
    assert "cannot be reached" in str(caught.value)
    assert "docker load" in caught.value.next_step
    assert not isinstance(caught.value, ImageNotFoundError)


async def test_a_build_that_was_not_made_is_not_looked_for_at_a_registry(
    docker_place: Place,
) -> None:
    with pytest.raises(ImageNotFoundError, match="has not been built"):
        await docker_place.engine().ensure_image("deepd-build:0123", no_progress)


@pytest.fixture
def own_guest(tmp_path: Path) -> Path:
    """Return a guest that no other test uses: its volume is empty yet."""
    binary = tmp_path / "guest"
    binary.write_bytes(guest_binary().read_bytes() + tmp_path.name.encode())
    return binary


async def test_engines_that_come_at_once_fill_the_guests_volume_once(
    docker_place: Place, own_guest: Path
) -> None:
    engines = [DockerEngine(docker_place.instance, guest=own_guest) for _ in range(3)]
    docker_place.engines += engines
    docker_place.instances.append(docker_place.instance)
    specs = [docker_place.spec(f"s{number}") for number in range(3)]
    started = await asyncio.gather(*map(docker_place.run, engines, specs))
    for engine, container in zip(engines, started, strict=True):
        assert (await docker_place.guest(engine, container)).info.version == 1
    volume = await engines[0]._guest.name()
    fillers = engine_api().containers(all=True, filters={"name": volume})
    assert fillers == []
    await docker_place.aclose()
    engine_api().remove_volume(volume)


async def test_a_volume_that_somebody_pruned_is_filled_again(
    docker_place: Place, own_guest: Path
) -> None:
    engine = DockerEngine(docker_place.instance, guest=own_guest)
    docker_place.engines.append(engine)
    docker_place.instances.append(docker_place.instance)
    await engine.remove(await docker_place.run(engine))
    volume = await engine._guest.name()
    engine_api().remove_volume(volume)
    container = await docker_place.run(engine)
    assert (await docker_place.guest(engine, container)).info.version == 1
    await docker_place.aclose()
    engine_api().remove_volume(volume)


async def test_a_filling_container_whose_process_died_is_taken_over(
    docker_place: Place, own_guest: Path
) -> None:
    engine = DockerEngine(docker_place.instance, guest=own_guest)
    docker_place.engines.append(engine)
    docker_place.instances.append(docker_place.instance)
    volume = await engine._guest.name()
    engine_api().create_container(BUSYBOX, "true", name=volume)
    container = await docker_place.run(engine)
    assert (await docker_place.guest(engine, container)).info.version == 1
    await docker_place.aclose()
    engine_api().remove_volume(volume)


async def test_input_that_was_written_before_letting_go_arrives(docker_place: Place) -> None:
    engine = docker_place.engine()
    container = await docker_place.run(engine)
    guest = await docker_place.guest(engine, container)
    await shell(guest, "mkfifo pipe; (cat pipe > copy) & sleep 0; echo ready")
    await guest.aclose()
    again = await docker_place.guest(engine, container)
    await shell(again, "echo through > pipe")
    spec = docker_place.spec()
    assert spec.workspace is not None
    copy = spec.workspace / "copy"
    await eventually(lambda: copy.read_text() == "through\n")
