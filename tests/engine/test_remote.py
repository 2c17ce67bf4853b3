"""An engine that is reached by TLS or ssh, said by DOCKER_HOST or a context: a second dockerd."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepd.engine.docker import DockerEngine
from deepd.errors import EngineDownError
from deepd.guest.connection import Guest
from tests.conftest import engine_trouble, need
from tests.e2e.conftest import somebody
from tests.engine.certificates import make_certificates
from tests.engine.conftest import Place, shell
from tests.engine.sshd import Sshd, sshd
from tests.engine.sshd import missing as missing_ssh
from tests.eventually import eventually
from tests.faults.second_engine import SecondEngine, second_engine
from tests.faults.second_engine import missing as missing_engine
from tests.images import BUSYBOX
from tests.leftover import remove_leftovers

Environ = dict[str, str]


@dataclass
class Far:
    """The second engine, with what opens its doors."""

    engine: SecondEngine
    certificates: Path
    """Of a client that it knows."""
    others: Path
    """Of another authority."""
    sshd: Sshd
    folder: Path

    @property
    def tls(self) -> Environ:
        """What in the environment leads to it by TLS."""
        address = f"tcp://127.0.0.1:{self.engine.port}"
        return {
            "DOCKER_HOST": address,
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(self.certificates),
        }

    @property
    def ssh(self) -> Environ:
        """What leads to it by ssh."""
        path = self.engine.host.removeprefix("unix://")
        return {"DOCKER_HOST": self.sshd.url(path), "DEEPD_SSH": self.sshd.program}

    def context(self, name: str, *options: str) -> Environ:
        """Make a context as a user does, and return what chooses it."""
        environ = {"DOCKER_CONFIG": str(self.folder / "contexts"), "DOCKER_CONTEXT": name}
        endpoint = ",".join(options)
        command = ["docker", "context", "create", name, "--docker", endpoint]
        left = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
        config = {"DOCKER_CONFIG": environ["DOCKER_CONFIG"]}
        done = subprocess.run(command, env=left | config, capture_output=True, check=False)
        assert done.returncode == 0 or b"already exists" in done.stderr, done.stderr
        return environ


WAYS = ["tls", "tls-context", "ssh-context"]
"""Each connection by ssh takes half a second: DOCKER_HOST is enough in the tests of ssh itself."""


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    """Return the second engine; what this machine lacks for it is said."""
    need("remote", missing_engine() or missing_ssh() or engine_trouble())
    with tempfile.TemporaryDirectory(prefix="deepd-far-") as name:
        folder = Path(name)
        certificates = make_certificates(folder / "certificates")
        others = make_certificates(folder / "others")
        with second_engine(certificates) as engine, sshd() as server:
            yield Far(engine, certificates, others, server, folder)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, far: Far, environ: pytest.MonkeyPatch) -> Environ:
    """Return the environment that leads to the engine, which is in force."""
    keys = far.certificates
    files = (f"ca={keys}/ca.pem", f"cert={keys}/cert.pem", f"key={keys}/key.pem")
    match request.param:
        case "tls":
            chosen = far.tls
        case "tls-context":
            chosen = far.context("tls", f"host={far.tls['DOCKER_HOST']}", *files)
        case _:
            chosen = far.context("ssh", f"host={far.ssh['DOCKER_HOST']}")
            chosen |= {"DEEPD_SSH": far.sshd.shared}
    _say(environ, chosen)
    return chosen


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Return what changes the environment, in which nothing says where an engine is."""
    for name in [name for name in os.environ if name.startswith("DOCKER_")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
async def place(far: Far, instance: str, folder: Path) -> AsyncIterator[Place]:
    """Return where an engine is that the environment says, and not an argument."""
    made = Place(instance, folder, None)
    yield made
    made.instances.clear()  # its own way to the engine does not know ssh
    await made.aclose()
    remove_leftovers(instance, far.engine.host)


async def test_a_sandbox_lives_there_from_its_image_to_its_removal(
    far: Far, way: Environ, place: Place
) -> None:
    engine = place.engine()
    assert (await engine.info()).name == "docker"
    assert (await engine.ensure_image(BUSYBOX, lambda _text, _share: None)).startswith("sha256:")
    woken = asyncio.create_task(_count(engine, wanted=2))
    container = await place.run(engine)
    assert container in far.engine.containers()

    guest = await place.guest(engine, container)
    assert await shell(guest, "echo $((6 * 7))") == "42\n"
    assert len(await shell(guest, "yes | head -c 3000000")) == 3_000_000
    answers = await asyncio.gather(*(shell(guest, f"echo {n}") for n in range(8)))
    assert answers == [f"{n}\n" for n in range(8)]

    # Let go, and come back: what ran goes on.
    await guest.aclose()
    again = await place.guest(engine, container)
    assert await shell(again, "echo still here") == "still here\n"
    assert await asyncio.wait_for(woken, 60) == 2

    looks = await asyncio.gather(*(engine.observe() for _ in range(8)))
    assert {sandbox.id for look in looks for sandbox in look} == {container}
    await engine.stop(container)
    await engine.remove(container)
    assert container not in far.engine.containers()


async def test_a_stranger_is_refused_by_the_engine_and_told(
    far: Far, environ: pytest.MonkeyPatch
) -> None:
    mixed = far.folder / "mixed"
    mixed.mkdir()
    (mixed / "ca.pem").symlink_to(far.certificates / "ca.pem")
    (mixed / "cert.pem").symlink_to(far.others / "cert.pem")
    (mixed / "key.pem").symlink_to(far.others / "key.pem")
    _say(environ, far.tls | {"DOCKER_CERT_PATH": str(mixed)})
    assert "certificate" in await _trouble()


async def test_an_engine_of_another_authority_is_not_trusted(
    far: Far, environ: pytest.MonkeyPatch
) -> None:
    _say(environ, far.tls | {"DOCKER_CERT_PATH": str(far.others)})
    assert "certificate verify failed" in await _trouble()


async def test_certificates_that_are_not_there_are_named(
    far: Far, environ: pytest.MonkeyPatch
) -> None:
    empty = far.folder / "empty"
    empty.mkdir()
    _say(environ, far.tls | {"DOCKER_CERT_PATH": str(empty)})
    trouble = await _trouble()
    assert f"{empty}/ca.pem" in trouble
    (empty / "ca.pem").symlink_to(far.certificates / "ca.pem")
    assert f"{empty}/cert.pem" in await _trouble()


async def test_an_engine_that_wants_tls_is_not_spoken_to_without(
    far: Far, environ: pytest.MonkeyPatch
) -> None:
    _say(environ, {"DOCKER_HOST": far.tls["DOCKER_HOST"]})
    with pytest.raises(Exception, match="HTTPS"):
        await _ask()


async def test_a_key_that_sshd_does_not_know_is_refused_and_told(
    far: Far, environ: pytest.MonkeyPatch
) -> None:
    _say(environ, far.ssh | {"DEEPD_SSH": far.sshd.of_a_stranger})
    assert "Permission denied" in await _trouble()


async def test_a_host_that_nobody_has_seen_is_not_trusted(
    far: Far, environ: pytest.MonkeyPatch
) -> None:
    _say(environ, far.ssh | {"DEEPD_SSH": far.sshd.of_somebody_new})
    assert "Host key verification failed" in await _trouble()


async def test_an_ssh_that_is_not_installed_is_said(far: Far, environ: pytest.MonkeyPatch) -> None:
    _say(environ, far.ssh | {"DEEPD_SSH": "/nowhere/ssh"})
    assert "/nowhere/ssh cannot be run" in await _trouble()


async def test_nothing_of_ssh_is_left_when_the_engine_is_let_go(
    far: Far, environ: pytest.MonkeyPatch, place: Place
) -> None:
    _say(environ, far.ssh)
    engine = DockerEngine(place.instance)
    place.engines.append(engine)
    container = await engine.create(place.spec())
    await engine.start(container)
    guest = await Guest.connect(await engine.open(container), deadline=20)
    await engine.observe()
    tunnel = Path(engine._client.endpoint.path).parent
    assert tunnel.name.startswith("deepd-ssh-")
    attached = len(_ssh_processes(far))
    assert attached >= 2  # the one that is kept, and the guest's

    # A stream that is let go ends its ssh, though the container goes on.
    await guest.aclose()
    await eventually(lambda: len(_ssh_processes(far)) < attached, within=60)
    await engine.remove(container)
    await engine.aclose()
    assert _ssh_processes(far) == []
    assert not tunnel.exists()


def test_the_daemon_works_on_an_engine_behind_ssh(far: Far) -> None:
    with somebody() as user:
        user.env |= far.ssh | {"DEEPD_SSH": far.sshd.shared}
        text = f'image = "{BUSYBOX}"\ninterrupt_on = ["execute"]\n'
        user.run("start", "-c", str(user.profile("far", text)))
        assert user.wait_for_state("ready")["container"] in far.engine.containers()
        assert far.ssh["DOCKER_HOST"] in user.text("status")
        held = user.text("exec", "main", "-d", "--", "echo", "from afar").strip()
        user.run("approve", held)
        assert user.text("wait", held) == "from afar\n"
        user.run("stop")
        assert far.engine.containers() == []


async def _count(engine: object, *, wanted: int) -> int:
    assert isinstance(engine, DockerEngine)
    seen = 0
    async for _ in engine.watch():
        seen += 1
        if seen == wanted:
            break
    return seen


async def _ask() -> None:
    engine = DockerEngine("nobody")
    try:
        await engine.observe()
    finally:
        await engine.aclose()


async def _trouble() -> str:
    """Return what a user is told who asks the engine."""
    with pytest.raises(EngineDownError) as caught:
        await _ask()
    assert caught.value.next_step
    return str(caught.value)


def _ssh_processes(far: Far) -> list[int]:
    """Return the processes that carry connections of ours."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if f"-F\0{far.sshd.program.removesuffix('.sh')}.config\0".encode() in words:
            found.append(int(folder.name))
    return found


def _say(environ: pytest.MonkeyPatch, chosen: Environ) -> None:
    for name, value in chosen.items():
        environ.setenv(name, value)
