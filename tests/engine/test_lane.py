"""The lane on real engines: who gets it, who does not, and that it changes nothing but the time."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepd.engine.base import ByteStream, Engine
from deepd.engine.lane import Lane
from deepd.errors import CallLostError
from deepd.guest import fields
from deepd.guest.call import GuestCall
from deepd.guest.connection import Guest
from deepd.guest.frames import RESYNC, Decoder, FrameType, encode
from deepd.guest.requests import Execute
from deepd.model.ids import ContainerId, new_call_id
from deepd.model.sandbox import SandboxState
from tests.engine.conftest import Place, make_place, output, shell
from tests.engine.test_contract import reached
from tests.eventually import eventually
from tests.images import PYTHON, engine_api

pytestmark = pytest.mark.docker

NUMBERS = b"".join(b"%d\n" % number for number in range(1, 200_001))


@pytest.fixture(params=["docker", "podman"])
async def lane_place(
    request: pytest.FixtureRequest, instance: str, folder: Path
) -> AsyncIterator[Place]:
    """Return each engine whose sandboxes have lanes."""
    place = make_place(request, request.param, instance, folder)
    place.lanes = True
    yield place
    await place.aclose()


async def rest(call: GuestCall) -> bytes:
    """Return the output to its end."""
    printed = b""
    while (chunk := await call.read()) is not None:
        printed += chunk.data
        call.ack(chunk.offset + len(chunk.data))
    return printed


async def test_a_sandbox_on_this_machine_is_reached_by_its_lane(lane_place: Place) -> None:
    engine = lane_place.engine()
    container = await lane_place.run(engine)
    guest = await lane_place.guest(engine, container)
    assert guest.has_lane
    assert await shell(guest, "seq 1 200000") == NUMBERS.decode()
    [lane] = (lane_place.folder / "lanes").iterdir()
    assert list(lane.iterdir()) == [], "there is nothing to come to any more"
    await engine.remove(container)
    assert not lane.exists()


async def test_each_owner_has_a_lane_of_its_own(lane_place: Place) -> None:
    engine = lane_place.engine()
    container = await lane_place.run(engine)
    call_id = new_call_id()
    first = await lane_place.guest(engine, container)
    call = await first.open(call_id, Execute(("sleep 0.5; seq 1 200000; exit 7",), shell=True))
    other = lane_place.engine()
    await other.observe()
    second = await lane_place.guest(other, container)
    with pytest.raises(CallLostError):
        await call.wait()
    assert second.has_lane
    followed = await second.follow(call_id)
    assert followed is not None
    assert await rest(followed) == NUMBERS
    assert (await followed.wait()).code == 7


async def test_a_daemon_that_comes_later_finds_the_lane_by_the_container(
    docker_place: Place,
) -> None:
    container = await docker_place.run(docker_place.engine())
    later = docker_place.engine()
    await later.observe()
    assert (await docker_place.guest(later, container)).has_lane


async def test_a_container_that_was_made_without_goes_on_without(docker_place: Place) -> None:
    docker_place.lanes = False
    container = await docker_place.run(docker_place.engine())
    docker_place.lanes = True
    later = docker_place.engine()
    await later.observe()
    guest = await docker_place.guest(later, container)
    assert not guest.has_lane
    assert await output(guest, "echo", "attached") == b"attached\n"


async def test_an_engine_of_another_user_is_not_asked_to_mount_our_folders(
    request: pytest.FixtureRequest, instance: str, folder: Path
) -> None:
    place = make_place(request, "podman-rootless", instance, folder)
    place.lanes = True
    engine = place.engine()
    guest = await place.guest(engine, await place.run(engine))
    assert not guest.has_lane
    assert await output(guest, "echo", "attached") == b"attached\n"
    await place.aclose()


async def test_a_stopped_sandbox_starts_again_when_its_folder_is_gone(docker_place: Place) -> None:
    engine = docker_place.engine()
    container = await docker_place.run(engine)
    await engine.stop(container)
    [lane] = (docker_place.folder / "lanes").iterdir()
    lane.rmdir()
    await engine.start(container)
    assert (await docker_place.guest(engine, container)).has_lane


async def test_a_running_sandbox_whose_folder_is_gone_is_attached(docker_place: Place) -> None:
    engine = docker_place.engine()
    container = await docker_place.run(engine)
    [lane] = (docker_place.folder / "lanes").iterdir()
    lane.rmdir()
    lane.mkdir()
    guest = await docker_place.guest(engine, container)
    assert not guest.has_lane
    assert await output(guest, "echo", "attached") == b"attached\n"


@pytest.mark.parametrize("end", ["kill", "remove", "stop", "pause"])
async def test_what_becomes_of_the_container_is_noticed(docker_place: Place, end: str) -> None:
    engine = docker_place.engine()
    container = await docker_place.run(engine)
    guest = await docker_place.guest(engine, container)
    call = await guest.open(new_call_id(), Execute(("sleep", "60")))
    assert guest.has_lane
    if end == "pause":
        engine_api().pause(container)
        await reached(engine, container, SandboxState.PAUSED)
        await eventually(lambda: guest.silent_for() > 6, within=30)
        engine_api().unpause(container)
        await eventually(lambda: guest.silent_for() < 6, within=30)
        assert await output(guest, "echo", "thawed") == b"thawed\n"
        return
    if end == "kill":
        engine_api().kill(container)
    elif end == "stop":
        await engine.stop(container)
    else:
        engine_api().remove_container(container, force=True)
    await asyncio.wait_for(guest.wait_closed(), 20)
    if end == "stop":
        assert (await call.wait()).code == 143
    else:
        with pytest.raises(CallLostError):
            await call.wait()


# ---- what runs in the sandbox against it


CONNECT = """\
import glob, os, random, socket, sys, time
end = time.time() + float(sys.argv[2])
held, tried, met = [], 0, 0
while time.time() < end:
    try:
        names = os.listdir('/.deepd-lane')
    except PermissionError:
        names = []
    tried += 1
    for name in names:
        path = '/.deepd-lane/' + name
        try:
            for step in (lambda: os.unlink(path), lambda: os.rename(path, path + 'x'),
                         lambda: os.chmod(path, 0), lambda: os.mkdir('/.deepd-lane/x')):
                try:
                    step()
                    print('changed', flush=True)
                except OSError:
                    pass
            for _ in range(100 if sys.argv[1] == 'flood' else 1):
                coming = socket.socket(socket.AF_UNIX)
                coming.settimeout(0)
                coming.connect(path)
                met += 1
                if sys.argv[1] == 'guess':
                    coming.send(os.urandom(48))
                elif sys.argv[1] == 'garbage':
                    coming.send(os.urandom(100_000))
                if len(held) < 500:
                    held.append(coming)
        except OSError:
            pass
print('tried', tried, 'met', met)
"""


@dataclass
class Siege:
    """A sandbox in which something comes to every meeting."""

    place: Place
    engine: Engine
    container: ContainerId
    guest: Guest
    lane: Path
    call: GuestCall


@asynccontextmanager
async def siege(place: Place, how: str, *, user: str, seconds: float = 6) -> AsyncIterator[Siege]:
    """Begin it, once it is really at it."""
    engine = place.engine()
    container = await place.run(engine, place.spec(image=PYTHON, user=user))
    guest = await place.guest(engine, container)
    command = ("python3", "-c", CONNECT, how, str(seconds))
    call = await guest.open(new_call_id(), Execute(command, merge=True))
    [lane] = (place.folder / "lanes").iterdir()
    yield Siege(place, engine, container, guest, lane, call)


@pytest.mark.parametrize("user", ["root", "workspace"])
@pytest.mark.parametrize("how", ["flood", "hold", "guess", "garbage"])
async def test_who_comes_to_a_meeting_from_within_changes_nothing(
    docker_place: Place, how: str, user: str
) -> None:
    async with siege(docker_place, how, user=user) as under:
        call_id = new_call_id()
        counting = await under.guest.open(call_id, Execute(("seq", "1", "200000")))
        for _ in range(15):
            guest = await docker_place.guest(under.engine, under.container)
            assert await output(guest, "echo", "ours") == b"ours\n"
        followed = await guest.follow(call_id)
        assert counting.id == call_id
        assert followed is not None
        assert await rest(followed) == NUMBERS
        attack = await guest.follow(under.call.id or new_call_id())
        assert attack is not None
        printed = (await rest(attack)).decode()
        assert (await attack.wait()).code == 0, printed
        assert "changed" not in printed
        assert printed.startswith("tried"), printed
        assert list(under.lane.iterdir()) == []


async def test_a_stranger_with_the_right_token_is_not_the_guest(docker_place: Place) -> None:
    """Even a token that leaked is of no use: the kernel tells who connected."""
    engine = docker_place.engine()
    spec = docker_place.spec(image=PYTHON, user="root")
    container = await docker_place.run(engine, spec)
    guest = await docker_place.guest(engine, container)
    [folder] = (docker_place.folder / "lanes").iterdir()
    pid = int(engine_api().inspect_container(container)["State"]["Pid"])
    boot = bytes.fromhex(guest.info.boot)
    with Lane(folder, pid).meet() as meeting:
        said = (meeting.token + boot).hex()
        program = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX);"
            f" s.connect('/.deepd-lane/{meeting.name}'); s.send(bytes.fromhex('{said}'))"
        )
        with_token = f'python3 -c "{program}" 2>/dev/null; echo tried'
        assert await shell(guest, with_token) == "tried\n"
        assert meeting.take(boot) is None


async def test_a_listener_within_the_sandbox_is_not_believed(
    docker_place: Place,
) -> None:
    """Whoever could put a socket of its own there would be told the token."""
    engine = docker_place.engine()
    spec = docker_place.spec(image=PYTHON)
    assert spec.workspace is not None
    container = await docker_place.run(engine, spec)
    guest = await docker_place.guest(engine, container)
    [folder] = (docker_place.folder / "lanes").iterdir()
    listen = (
        "import os, socket; s = socket.socket(socket.AF_UNIX); s.bind('s'); os.chmod('s', 0o777);"
        " s.listen(); print('listening', flush=True); print('told', s.accept()[0].recv(100))"
    )
    call_id = new_call_id()
    call = await guest.open(call_id, Execute(("python3", "-c", listen), merge=True))
    chunk = await call.read()
    assert chunk is not None
    assert chunk.data == b"listening\n"
    os.link(spec.workspace / "s", folder / "impostor")
    await guest.aclose()
    assert await asked_to_come(await engine.open(container), "impostor") == errno.EPERM
    (folder / "impostor").unlink()
    again = await docker_place.guest(engine, container)
    followed = await again.follow(call_id)
    assert followed is not None
    assert await rest(followed) == b"listening\ntold b''\n"


async def asked_to_come(stream: ByteStream, name: str) -> int:
    """Greet a guest, name a socket to it and return the errno that it answers."""
    hello = fields.field(1, bytes(8)) + fields.field(2, fields.u32(1))
    offer = fields.field(1, name.encode()) + fields.field(2, bytes(32))
    stream.write(RESYNC + encode(FrameType.HELLO, 0, hello) + encode(FrameType.LANE, 0, offer))
    decoder = Decoder()
    async with asyncio.timeout(20):
        while data := await stream.read():
            for frame in decoder.feed(data):
                if frame.type == FrameType.LANED:
                    await stream.aclose()
                    return int.from_bytes(frame.payload, "little")
    raise AssertionError("the stream ended")
