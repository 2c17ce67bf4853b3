"""The engines that the same tests hold to the same behaviour, and sandboxes to try on them."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from docker.errors import APIError

from deepd.engine.base import Engine
from deepd.engine.box import Box
from deepd.engine.docker import DockerEngine
from deepd.engine.fake import FakeEngine
from deepd.engine.fake_world import FakeWorld, image_digest
from deepd.engine.level import Level, try_bubblewrap, try_guest
from deepd.engine.local import LocalEngine
from deepd.engine.workspace import prepare_workspace
from deepd.guest.connection import Guest
from deepd.guest.requests import Execute
from deepd.model.ids import ContainerId, ProfileName, SessionName, new_call_id
from deepd.model.profile import Limits, Security
from deepd.model.sandbox import SandboxSpec
from tests.conftest import need
from tests.images import BUSYBOX, engine_api
from tests.leftover import remove_leftovers
from tests.podman import PodmanService

SPEC = SandboxSpec(
    instance="",
    session=SessionName("main"),
    warm_id="",
    profile=ProfileName("python"),
    spec_hash="abc",
    generation=3,
    image=BUSYBOX,
    work_dir="/workspace",
    workspace=None,
    volumes=(),
    user="workspace",
    shell="auto",
    limits=Limits(memory=256 << 20, cpus=1.0, pids=64),
    security=Security(),
)


@dataclass
class Place:
    """One engine with everything that a test makes on it."""

    instance: str
    folder: Path
    world: FakeWorld | None
    """`None` on the real one."""
    local: Path | None = None
    """The folder of the local engine's sandboxes."""
    level: Level | None = None
    """Who isolates the local engine's sandboxes; `None`: whatever is found."""
    podman: PodmanService | None = None
    lanes: bool = True
    """Whether containers' guests may be met without their engine."""
    guests: list[Guest] = field(default_factory=list)
    engines: list[Engine] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)

    def engine(self, instance: str = "") -> Engine:
        """Return one more daemon's view of the same engine."""
        name = instance or self.instance
        engine = self._make(name)
        self.engines.append(engine)
        self.instances.append(name)
        return engine

    def _make(self, name: str) -> Engine:
        if self.local is not None:
            return LocalEngine(name, self.local, level=self.level)
        if self.world is not None:
            return FakeEngine(name, self.world)
        return DockerEngine(name, self.host, lanes=self.folder / "lanes" if self.lanes else None)

    @property
    def host(self) -> str:
        """Where the container engine listens; empty is the usual place."""
        return self.podman.host if self.podman else ""

    @property
    def has_cgroups(self) -> bool:
        """Whether limits hold and can be measured, and sandboxes be paused."""
        return self.podman is None or not self.podman.rootless or not is_cgroup_v1()

    def _workspace(self, name: str) -> Path:
        workspace = prepare_workspace(self.folder, name)
        if self.podman and self.podman.rootless:
            os.chown(workspace, self.podman.owner, self.podman.owner)
        return workspace

    def spec(self, session: str = "main", **changes: object) -> SandboxSpec:
        """Return what a sandbox with a workspace is created from."""
        spec = replace(SPEC, instance=self.instance, session=SessionName(session))
        workspace = self._workspace(session)
        return replace(replace(spec, workspace=workspace), **changes)  # type: ignore[arg-type]

    def warm_spec(self) -> SandboxSpec:
        """Return the spec of a warm sandbox."""
        warm_id = secrets.token_hex(4)
        workspace = self._workspace(f".warm-{warm_id}")
        spec = replace(SPEC, instance=self.instance, session=None, warm_id=warm_id)
        return replace(spec, workspace=workspace)

    async def run(self, engine: Engine, spec: SandboxSpec | None = None) -> ContainerId:
        """Create and start a sandbox."""
        container = await engine.create(spec or self.spec())
        await engine.start(container)
        return container

    async def guest(self, engine: Engine, container: ContainerId) -> Guest:
        """Attach and say hello."""
        guest = await Guest.connect(await engine.open(container), deadline=20)
        self.guests.append(guest)
        return guest

    def kill(self, container: ContainerId) -> None:
        """Kill a container without telling the engine object."""
        if self.local is not None:
            os.kill(Box(self.local / container).pid(), signal.SIGKILL)
        elif self.world is None:
            engine_api(self.host).kill(container)
        else:
            self.world.kill(container)

    async def aclose(self) -> None:
        """Remove everything that was made."""
        for guest in self.guests:
            await guest.aclose()
        for engine in self.engines:
            if self.local is not None:
                for sandbox in await engine.observe():
                    await engine.remove(sandbox.id)
            await engine.aclose()
        if self.local is not None:
            return
        if self.world is not None:
            await self.world.aclose()
            return
        for name in self.instances:
            with suppress(APIError):
                remove_leftovers(name, self.host)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that a sandbox's user can come to, unlike `tmp_path` of a root's tests."""
    with tempfile.TemporaryDirectory(prefix="deepd-test-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


ENGINES = [
    "fake",
    "local",
    "local-guest",
    pytest.param("docker", marks=pytest.mark.docker),
    "podman",
    "podman-rootless",
]
"""What all hold to the same contract; `local-guest` is without bubblewrap."""


@pytest.fixture(params=ENGINES)
async def place(
    request: pytest.FixtureRequest, instance: str, folder: Path
) -> AsyncIterator[Place]:
    """Return the fake engine, and then the real ones."""
    place = make_place(request, request.param, instance, folder)
    yield place
    await place.aclose()


def make_place(request: pytest.FixtureRequest, engine: str, instance: str, folder: Path) -> Place:
    """Return a place on one engine, or leave the test out where that is not here."""
    # What engines promise is the same without lanes, and podman takes a second to say who it is.
    place = Place(instance, folder, None, lanes=engine == "docker")
    match engine:
        case "fake":
            place.world = FakeWorld()
            place.world.images[BUSYBOX] = image_digest(BUSYBOX)
        case "local" | "local-guest":
            place.local, place.level = folder / "boxes", level_of(engine)
        case "podman":
            place.podman = request.getfixturevalue("podman")
        case "podman-rootless":
            place.podman = request.getfixturevalue("rootless_podman")
        case _:
            pass  # docker, where everything is as it is
    return place


def level_of(engine: str) -> Level:
    """Return the level of a kind of local engine, or leave the test out where it is not here."""
    level = try_bubblewrap() if engine == "local" else try_guest()
    need(engine, level.trouble)
    return level


@pytest.fixture(params=["local", "local-guest"])
async def local_place(
    request: pytest.FixtureRequest, instance: str, folder: Path
) -> AsyncIterator[Place]:
    """Return the local engine at each level that claims to isolate."""
    place = make_place(request, request.param, instance, folder)
    yield place
    await place.aclose()


def is_cgroup_v1() -> bool:
    """Tell how this machine groups processes."""
    return not Path("/sys/fs/cgroup/cgroup.controllers").exists()


@pytest.fixture
async def docker_place(instance: str, folder: Path) -> AsyncIterator[Place]:
    """Return the real engine, for what only that can show."""
    place = Place(instance, folder, None)
    yield place
    await place.aclose()


async def output(guest: Guest, *args: str, shell: bool = False) -> bytes:
    """Run a program in the sandbox and return what it printed."""
    call_id = new_call_id()
    call = await guest.open(call_id, Execute(args, shell=shell, merge=True, timeout=20))
    printed = b""
    while (chunk := await call.read()) is not None:
        printed += chunk.data
        call.ack(chunk.offset + len(chunk.data))
    ended = await call.wait()
    guest.release(call_id)
    assert ended.code == 0, f"{args}: {ended} {printed!r}"
    return printed


async def shell(guest: Guest, command: str) -> str:
    """Run a command text by the sandbox's shell."""
    return (await output(guest, command, shell=True)).decode()
