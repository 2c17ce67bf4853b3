"""Meeting a guest in a folder to which others come too, and the folders themselves."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from deepd.engine.endpoint import Endpoint
from deepd.engine.lane import Lane, Meeting
from deepd.engine.lanes import Lanes, SandboxLanes, obstacle
from deepd.errors import EngineRefusedError, EngineTimeoutError
from deepd.model.ids import ContainerId, ProfileName
from deepd.model.sandbox import Sandbox, SandboxState
from tests.eventually import eventually

BOOT = bytes(range(16))


def come(folder: Path, meeting: Meeting, said: bytes) -> socket.socket:
    """Connect as a process of the sandbox would, and say something."""
    coming = socket.socket(socket.AF_UNIX)
    coming.connect(str(folder / meeting.name))
    coming.sendall(said)
    return coming


def is_open(coming: socket.socket) -> bool:
    """Tell whether the other side still holds a connection."""
    try:
        return coming.recv(1, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True


@pytest.fixture
def crowd() -> Iterator[ExitStack]:
    """Close what was entered, in the end."""
    with ExitStack() as stack:
        yield stack


async def test_who_has_the_token_and_the_boot_id_is_taken(tmp_path: Path) -> None:
    with Lane(tmp_path, os.getpid()).meet() as meeting:
        guest = come(tmp_path, meeting, meeting.token + BOOT)
        taken = meeting.take(BOOT)
    assert taken is not None
    with guest, taken:
        guest.sendall(b"hello")
        assert taken.recv(5) == b"hello"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "said",
    [b"", bytes(48), b"GET / HTTP/1.1\r\n\r\n" * 1000],
    ids=["nothing", "a guess", "much"],
)
async def test_who_says_anything_else_is_not(tmp_path: Path, said: bytes) -> None:
    with Lane(tmp_path).meet() as meeting:
        stranger = come(tmp_path, meeting, said)
        assert meeting.take(BOOT) is None
    with stranger, suppress(ConnectionResetError):  # the end of who was not heard out
        stranger.settimeout(10)
        assert stranger.recv(1) == b""


async def test_a_token_with_another_boot_id_is_not_this_guests(tmp_path: Path) -> None:
    with Lane(tmp_path).meet() as meeting, come(tmp_path, meeting, meeting.token + bytes(16)):
        assert meeting.take(BOOT) is None


async def test_the_guest_is_found_among_those_who_hold_their_connections(
    tmp_path: Path, crowd: ExitStack
) -> None:
    with Lane(tmp_path).meet() as meeting:
        for _ in range(30):
            crowd.enter_context(come(tmp_path, meeting, b""))
        guest = crowd.enter_context(come(tmp_path, meeting, meeting.token + BOOT))
        for _ in range(20):
            crowd.enter_context(come(tmp_path, meeting, bytes(48)))
        taken = meeting.take(BOOT)
        assert taken is not None
        with taken:
            taken.sendall(b"you")
        assert guest.recv(3) == b"you"


async def test_a_crowd_that_is_larger_is_sent_away_as_it_comes(
    tmp_path: Path, crowd: ExitStack
) -> None:
    with Lane(tmp_path).meet() as meeting:
        held = [crowd.enter_context(come(tmp_path, meeting, b"")) for _ in range(40)]
        await eventually(lambda: len(meeting._came) == 40)
        held += [crowd.enter_context(come(tmp_path, meeting, b"")) for _ in range(40)]
        await eventually(lambda: [is_open(one) for one in held] == [True] * 64 + [False] * 16)


async def test_another_process_is_not_taken_whatever_it_says(tmp_path: Path) -> None:
    with Lane(tmp_path, os.getpid()).meet() as meeting:
        program = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
            " s.sendall(bytes.fromhex(sys.argv[2]))"
        )
        address = str(tmp_path / meeting.name)
        said = (meeting.token + BOOT).hex()
        other = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, address, said), stderr=asyncio.subprocess.DEVNULL
        )
        await other.wait()  # it may have been sent away before it spoke
        assert meeting.take(BOOT) is None
        with come(tmp_path, meeting, meeting.token + BOOT):
            taken = meeting.take(BOOT)
            assert taken is not None
            taken.close()


async def test_a_folder_with_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 200)
    folder.mkdir()
    with Lane(folder).meet() as meeting:
        assert [path.name for path in folder.iterdir()] == [meeting.name]


async def test_a_folder_that_is_a_link_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/tmp")
    for name in ("link", "missing"):
        with pytest.raises(OSError, match=name):
            Lane(tmp_path / name).meet()


def test_a_folder_lets_the_guest_through_and_nobody_of_this_machine(tmp_path: Path) -> None:
    lanes = Lanes(tmp_path / "lanes")
    path = lanes.path(lanes.make())
    assert path.stat().st_mode & 0o777 == 0o711
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_goes_with_what_is_left_in_it(tmp_path: Path) -> None:
    lanes = Lanes(tmp_path)
    name = lanes.make()
    (lanes.path(name) / "left").touch()
    lanes.remove(name)
    lanes.remove(name)
    assert list(tmp_path.iterdir()) == []


def test_a_name_out_of_a_label_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    lanes = Lanes(tmp_path / "lanes")
    for name in ("../other", "..", ".", "", "other"):
        lanes.remove(name)
    assert (tmp_path / "other").exists()


HERE = os.uname()
ABOUT = {"KernelVersion": HERE.release, "Name": HERE.nodename, "SecurityOptions": ["name=seccomp"]}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Endpoint]:
    """Return the endpoint of something that listens as this user."""
    path = str(tmp_path / "engine.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        yield Endpoint(url=path, path=path)


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({}, ""),
        ({"KernelVersion": "1.2.3"}, "another machine"),
        ({"Name": "podman-machine"}, "another machine"),
        ({"SecurityOptions": ["name=seccomp,profile=default", "name=userns"]}, "other users"),
        ({"SecurityOptions": None}, ""),
    ],
)
def test_an_engine_says_by_itself_whether_it_is_under_our_kernel(
    engine: Endpoint, about: dict[str, Any], says: str
) -> None:
    found = obstacle(engine, ABOUT | about)
    assert says in found
    assert bool(found) is bool(says)


def test_an_engine_elsewhere_has_no_lane(tmp_path: Path) -> None:
    assert "Unix socket" in obstacle(Endpoint(url="tcp://x", host="x"), ABOUT)
    assert "another user" in obstacle(Endpoint(url="x", path=f"{tmp_path}/no.sock"), ABOUT)


def sandbox(lane: str) -> Sandbox:
    return Sandbox(
        ContainerId("one"), "n", None, ProfileName("p"), SandboxState.RUNNING, "", lane=lane
    )


def test_folders_of_an_earlier_daemon_stay_while_a_sandbox_mounts_them(
    tmp_path: Path, engine: Endpoint
) -> None:
    root = tmp_path / "lanes"
    used, unused = (Lanes(root).make() for _ in range(2))
    lanes = SandboxLanes(root, engine)
    lanes.learn(ABOUT)
    fresh = lanes.make()
    assert fresh is not None
    lanes.observed([sandbox(used)])
    assert {path.name for path in root.iterdir()} == {used, fresh.name}
    assert lanes.path(ContainerId("one")) == root / used
    lanes.removed(ContainerId("one"))
    lanes.observed([])
    assert {path.name for path in root.iterdir()} == {fresh.name}
    assert unused != used


def test_a_folder_without_which_a_sandbox_would_not_start_is_made_again(
    tmp_path: Path, engine: Endpoint
) -> None:
    lanes = SandboxLanes(tmp_path / "lanes", engine)
    lanes.observed([sandbox("0123456789ab")])
    lanes.restore(ContainerId("one"))
    assert (tmp_path / "lanes" / "0123456789ab").is_dir()


def test_an_engine_that_cannot_see_the_folder_is_asked_for_no_more_of_them(
    tmp_path: Path, engine: Endpoint
) -> None:
    lanes = SandboxLanes(tmp_path, engine)
    assert not lanes.known
    lanes.learn(ABOUT)
    lane = lanes.make()
    assert lane is not None
    assert not lanes.is_refused(lane, EngineTimeoutError("it may still do it"))
    assert lane.exists()
    assert not lanes.is_refused(lane, EngineRefusedError("unknown runtime"))
    assert not lane.exists()
    lane = lanes.make()
    assert lanes.is_refused(lane, EngineRefusedError(f"bind source path does not exist: {lane}"))
    assert lanes.make() is None
    lanes.learn(ABOUT)
    assert lanes.make() is None


def test_without_a_root_there_are_no_lanes(engine: Endpoint) -> None:
    lanes = SandboxLanes(None, engine)
    assert lanes.known
    lanes.observed([sandbox("0123456789ab")])
    assert lanes.make() is None
    assert lanes.path(ContainerId("one")) is None
