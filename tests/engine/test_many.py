"""Several engines as one: which of them a profile gets, and what a silent one means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deepd.engine.base import EngineInfo
from deepd.engine.fake import FakeEngine
from deepd.engine.fake_world import FakeWorld, image_digest
from deepd.engine.local import LocalEngine
from deepd.engine.many import Engines
from deepd.errors import EngineDownError, EngineError, EngineRefusedError
from deepd.model.ids import ContainerId, ProfileName
from deepd.model.profile import EngineName, Local, Profile
from deepd.model.sandbox import Sandbox
from tests.engine.conftest import SPEC
from tests.images import BUSYBOX


class Switched(FakeEngine):
    """An engine that can be away, and says what it is."""

    def __init__(self, kind: str, *, is_up: bool = True) -> None:
        world = FakeWorld()
        world.images[BUSYBOX] = image_digest(BUSYBOX)
        super().__init__("", world)
        self.kind, self.is_up = kind, is_up

    @property
    def endpoint(self) -> str:  # type: ignore[override] # each is somewhere else
        return f"fake://{self.kind}"

    async def info(self) -> EngineInfo:
        self._check()
        return replace(await super().info(), name=self.kind)

    async def observe(self) -> list[Sandbox]:
        self._check()
        return await super().observe()

    def _check(self) -> None:
        if not self.is_up:
            raise EngineDownError(f"no {self.kind}", next_step=f"start {self.kind}")


@dataclass
class Bench:
    """Two container engines and the local one, of which profiles say what they want."""

    folder: Path
    docker: Switched = field(default_factory=lambda: Switched("docker"))
    podman: Switched = field(default_factory=lambda: Switched("podman"))
    wanted: list[Profile] = field(default_factory=list)
    expected: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.local = LocalEngine("", self.folder / "boxes")
        self.engines = Engines(
            self.docker,
            self.local,
            podman=self.podman,
            profiles=lambda: self.wanted,
            expected=lambda: self.expected,
        )

    def want(self, engine: EngineName, *, fallback: bool = False) -> None:
        profile = Profile(ProfileName("p"), Path("p.toml"), engine=engine)
        self.wanted.append(replace(profile, local=Local(fallback=fallback)))

    async def create(self, engine: EngineName) -> ContainerId:
        return await self.engines.create(replace(SPEC, engine=engine))


@pytest.fixture
async def bench(folder: Path) -> AsyncIterator[Bench]:
    made = Bench(folder)
    yield made
    await made.engines.aclose()
    await made.docker.world.aclose()
    await made.podman.world.aclose()


async def test_auto_is_docker_where_both_answer(bench: Bench) -> None:
    bench.want("auto")
    await bench.engines.observe()
    assert await bench.engines.choose("auto", Local()) is bench.docker


async def test_auto_is_podman_where_docker_does_not_answer_and_stays_it(bench: Bench) -> None:
    bench.want("auto")
    bench.docker.is_up = False
    assert await bench.engines.observe() == []
    assert await bench.engines.choose("auto", Local()) is bench.podman
    bench.docker.is_up = True
    assert await bench.engines.choose("auto", Local()) is bench.podman


async def test_auto_runs_locally_only_where_the_profile_says_so(bench: Bench) -> None:
    bench.docker.is_up = bench.podman.is_up = False
    with pytest.raises(EngineDownError, match="no docker") as caught:
        await bench.engines.choose("auto", Local())
    assert "fallback = true" in caught.value.next_step
    assert await bench.engines.choose("auto", Local(fallback=True)) is bench.local


async def test_a_look_without_any_engine_fails_unless_a_profile_runs_locally(bench: Bench) -> None:
    bench.want("auto")
    bench.docker.is_up = bench.podman.is_up = False
    with pytest.raises(EngineDownError, match="no docker"):
        await bench.engines.observe()
    bench.want("auto", fallback=True)
    assert await bench.engines.observe() == []
    assert bench.engines.name == "local"
    assert "no docker" in " ".join((await bench.engines.info()).warnings)


async def test_a_profile_gets_the_engine_that_it_names(bench: Bench) -> None:
    for name in ("docker", "podman", "local"):
        bench.want(name)
    made = [await bench.create("docker"), await bench.create("podman")]
    observed = {sandbox.id for sandbox in await bench.engines.observe()}
    assert observed == set(made)
    assert [sandbox.id for sandbox in await bench.podman.observe()] == made[1:]
    await bench.engines.remove(made[1])
    assert await bench.podman.observe() == []
    assert len(await bench.docker.observe()) == 1


async def test_an_engine_that_nobody_wants_is_left_alone_once_all_that_is_ours_was_seen(
    bench: Bench,
) -> None:
    bench.want("podman")
    bench.expected = {await bench.podman.create(SPEC): ""}
    bench.docker.is_up = False
    await bench.engines.observe()
    assert bench.engines.endpoint == bench.podman.endpoint
    await bench.engines.observe()
    assert "docker" not in (await bench.engines.info()).isolation


async def test_podman_that_is_not_there_is_named_and_docker_does_not_stand_in(bench: Bench) -> None:
    bench.podman.is_up = False
    with pytest.raises(EngineDownError, match="no podman"):
        await bench.engines.choose("podman", Local())


async def test_podman_at_dockers_own_address_is_podman_too(bench: Bench) -> None:
    bench.podman.is_up = False
    bench.docker.kind = "podman"
    assert await bench.engines.choose("podman", Local()) is bench.docker


async def test_an_engine_that_nobody_has_is_refused(bench: Bench) -> None:
    with pytest.raises(EngineRefusedError, match="kubernetes"):
        await bench.engines.choose("kubernetes", Local())


async def test_a_sandbox_that_cannot_be_seen_is_not_one_that_is_gone(bench: Bench) -> None:
    bench.want("auto")
    container = await bench.docker.create(SPEC)
    bench.expected = {container: ""}
    bench.docker.is_up = False
    for _ in range(2):
        with pytest.raises(EngineError, match="no docker"):
            await bench.engines.observe()
    bench.docker.is_up = True
    assert [sandbox.id for sandbox in await bench.engines.observe()] == [container]
    bench.docker.is_up = False
    with pytest.raises(EngineError, match="no docker"):
        await bench.engines.observe()


async def test_what_is_gone_from_its_engine_is_not_looked_for_on_one_that_is_not_there(
    bench: Bench,
) -> None:
    bench.want("auto")
    bench.expected = {"gone": "docker"}
    bench.podman.is_up = False
    assert await bench.engines.observe() == []
    assert bench.engines.name == "fake"
    assert bench.engines.endpoint == bench.docker.endpoint


async def test_what_may_be_on_an_engine_that_is_not_there_is_not_gone(bench: Bench) -> None:
    bench.want("auto")
    bench.podman.is_up = False
    for name in ("podman", "", "of another machine"):
        bench.expected = {"hidden": name}
        with pytest.raises(EngineError, match="no podman"):
            await bench.engines.observe()


@pytest.mark.parametrize("podman", [False, True])
async def test_the_engine_is_named_before_and_after_it_was_asked(podman: bool) -> None:  # noqa: FBT001 - a parameter
    other = FakeEngine("0123abcd")
    other.endpoint = "fake://other"
    engines = Engines(
        FakeEngine("0123abcd"), FakeEngine("0123abcd"), podman=other if podman else None
    )
    assert (engines.name, engines.endpoint) == ("fake", "fake://")
    await engines.observe()
    assert (engines.name, engines.endpoint) == ("fake", "fake://")
