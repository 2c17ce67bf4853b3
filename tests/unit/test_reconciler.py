"""The loop: when it looks, what it leaves out, how it waits and how it heals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deepd.engine.base import Progress
from deepd.errors import EngineDownError, EngineError, EngineTimeoutError, ImageNotFoundError
from deepd.model.ids import ContainerId, SessionName
from deepd.model.profile import Limits, Profile
from deepd.model.sandbox import Sandbox, SandboxSpec, SandboxState
from deepd.model.session import Session
from deepd.reconcile.action import Action
from deepd.reconcile.backoff import FIRST, LONGEST, Backoff, delay
from deepd.reconcile.executor import Executor
from deepd.reconcile.facts import Failure, SessionFacts, WarmFacts, World
from deepd.reconcile.reconciler import Reconciler
from tests.eventually import eventually
from tests.unit.worlds import IMAGE, facts, profile


class Engine:
    """Containers as values; `before` may be set to hold or break a request."""

    name = "tiny"
    endpoint = "tiny://"

    def __init__(self) -> None:
        self.sandboxes: dict[ContainerId, Sandbox] = {}
        self.requests: list[str] = []
        self.before: Callable[[str], Awaitable[None]] = self._nothing
        self.after_list: Callable[[], Awaitable[None]] = self._nothing_after
        self.images = {IMAGE}

    async def _nothing(self, _verb: str) -> None: ...

    async def _nothing_after(self) -> None: ...

    async def observe(self) -> list[Sandbox]:
        await self._request("observe")
        seen = list(self.sandboxes.values())
        await self.after_list()
        return seen

    async def ensure_image(self, image: str, progress: Progress) -> str:
        await self._request("ensure_image")
        if image not in self.images:
            raise ImageNotFoundError(f"no image {image}")
        return image

    async def create(self, spec: SandboxSpec) -> ContainerId:
        await self._request("create")
        container = ContainerId(f"c{len(self.requests)}")
        if any(box.name == spec.name for box in self.sandboxes.values()):
            raise EngineError("name in use")
        self.sandboxes[container] = Sandbox(
            container,
            spec.name,
            spec.session,
            spec.profile,
            SandboxState.CREATED,
            spec.spec_hash,
            warm_id=spec.warm_id,
            generation=spec.generation,
        )
        return container

    async def start(self, container: ContainerId) -> None:
        await self._request("start")
        self._change(container, state=SandboxState.RUNNING)

    async def stop(self, container: ContainerId) -> None:
        await self._request("stop")
        self._change(container, state=SandboxState.STOPPED)

    async def remove(self, container: ContainerId) -> None:
        await self._request("remove")
        self.sandboxes.pop(container, None)

    async def update(self, container: ContainerId, limits: Limits) -> None:
        await self._request("update")

    async def claim(self, container: ContainerId, name: str) -> None:
        await self._request("claim")
        self._change(container, name=name, session=SessionName(name.rpartition("-")[2]))

    async def watch(self) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield None

    def _change(self, container: ContainerId, **fields: Any) -> None:
        self.sandboxes[container] = replace(self.sandboxes[container], **fields)

    async def _request(self, verb: str) -> None:
        self.requests.append(verb)
        await asyncio.sleep(0)
        await self.before(verb)


class Desk:
    """Sessions as values, and the guests that would be attached."""

    def __init__(self, *wanted: SessionFacts, of: Profile) -> None:
        self.wanted = {item.session.name: item for item in wanted}
        self.profiles = {of.name: of}
        self.attached: dict[ContainerId, Sandbox] = {}
        self.failures: list[Failure] = []
        self.engine: list[str] = []
        self.warm: dict[ContainerId, WarmFacts] = {}

    def observed(self, sandboxes: Sequence[Sandbox], touched: frozenset[str]) -> None:
        self.warm = {
            box.id: WarmFacts(attached=box.id in self.attached)
            for box in sandboxes
            if box.session is None
        }

    def world(self, images: frozenset[str], failures: Mapping[str, Failure]) -> World:
        limits = next(iter(self.profiles.values())).limits
        sessions = []
        for item in self.wanted.values():
            mine = [box.id for box in self.attached.values() if box.session == item.session.name]
            sessions.append(replace(item, attached=mine[0] if mine else None, limits=limits))
        return World(self.profiles, tuple(sessions), self.warm, images, failures)

    def began(self, action: Action) -> None: ...

    async def done(self, action: Action, made: ContainerId | None) -> None: ...

    def failed(self, action: Action, failure: Failure) -> None:
        self.failures.append(failure)

    def engine_changed(self, error: EngineError | None) -> None:
        self.engine.append("down" if error else "up")

    async def attach(self, sandbox: Sandbox) -> None:
        self.attached[sandbox.id] = sandbox

    async def set_up(self, sandbox: Sandbox, profile: Profile) -> None: ...

    async def detach(self, sandbox: Sandbox) -> None:
        self.attached.pop(sandbox.id, None)

    async def close(self, session: Session) -> None:
        del self.wanted[session.name]

    def progress(self, image: str, text: str, done: float | None) -> None: ...


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.real: Callable[[], float] | None = None
        """Time that passes by itself."""

    def __call__(self) -> float:
        return self.real() if self.real else self.now


class Bench:
    """One reconciler over one tiny engine."""

    def __init__(self, tmp_path: Path, *wanted: SessionFacts, **fields: Any) -> None:
        self.engine = Engine()
        self.desk = Desk(*wanted, of=profile(workspace_root=tmp_path, **fields))
        self.clock = Clock()
        executor = Executor(self.engine, self.desk, instance="x")  # type: ignore[arg-type]
        self.reconciler = Reconciler(
            self.engine,  # type: ignore[arg-type]
            executor,
            self.desk,
            clock=self.clock,
            resync=60.0,
            backoff=Backoff(lambda: 1.0),
        )

    @property
    def is_settled(self) -> bool:
        up = {box.session for box in self.desk.attached.values()}
        return up == set(self.desk.wanted)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.reconciler.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def has_failed(bench: Bench, times: int) -> bool:
    return len(bench.desk.failures) == times


def has_looked(bench: Bench, times: int) -> bool:
    return bench.engine.requests.count("observe") >= times


async def test_a_session_is_brought_up_without_a_pause_between_the_steps(tmp_path: Path) -> None:
    bench = Bench(tmp_path, facts())
    async with bench.running():
        await eventually(lambda: bench.is_settled, within=2)
    steps = [verb for verb in bench.engine.requests if verb != "observe"]
    assert steps == ["ensure_image", "create", "start"]


async def test_a_list_from_before_a_create_does_not_cause_a_second_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, facts())
    held = asyncio.Event()

    async def hold(verb: str) -> None:
        if verb == "create":
            await held.wait()

    async def answer_late() -> None:
        # The list is taken while the create is under way, and arrives when it is over.
        if "create" in bench.engine.requests and not held.is_set():
            held.set()
            await eventually(lambda: bench.reconciler.doing("session main") is None)

    bench.engine.before = hold
    bench.engine.after_list = answer_late
    async with bench.running():
        await eventually(lambda: "create" in bench.engine.requests)
        bench.reconciler.wake()
        await eventually(lambda: bench.is_settled, within=2)
    assert bench.engine.requests.count("create") == 1
    assert bench.desk.failures == []


async def test_sessions_do_not_wait_for_one_that_hangs(tmp_path: Path) -> None:
    bench = Bench(tmp_path, facts("slow"), facts("quick"))
    create = bench.engine.create

    async def hang_for_slow(spec: SandboxSpec) -> ContainerId:
        if spec.session == "slow":
            await asyncio.Event().wait()
        return await create(spec)

    bench.engine.create = hang_for_slow  # type: ignore[method-assign]
    async with bench.running():
        await eventually(
            lambda: {box.session for box in bench.desk.attached.values()} == {"quick"}, within=2
        )


async def test_what_fails_is_tried_again_later_and_later(tmp_path: Path) -> None:
    bench = Bench(tmp_path, facts())

    async def refuse(verb: str) -> None:
        if verb == "create":
            raise EngineError("not now")

    bench.engine.before = refuse
    async with bench.running():
        for attempt in (1, 2, 3, 4):
            await eventually(partial(has_failed, bench, attempt), within=2)
            failure = bench.desk.failures[-1]
            assert failure.until is not None
            assert failure.until - bench.clock.now == pytest.approx(FIRST * 2 ** (attempt - 1))
            bench.clock.now = failure.until
            bench.reconciler.wake()


def test_the_wait_has_an_end_and_a_spread() -> None:
    assert delay(1, 1.0) == FIRST
    assert delay(50, 1.0) == LONGEST
    assert delay(50, 0.0) < LONGEST


async def test_a_missing_image_is_not_asked_for_again_until_the_profile_changes(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, facts(), image="nowhere:1")
    async with bench.running():
        await eventually(lambda: bench.desk.failures, within=2)
        bench.clock.now += 10_000.0
        looks = bench.engine.requests.count("observe")
        bench.reconciler.wake()
        await eventually(lambda: bench.engine.requests.count("observe") > looks)
        assert bench.engine.requests.count("ensure_image") == 1
        bench.desk.wanted = {SessionName("main"): facts(last_active=bench.clock.now)}
        mended = profile(workspace_root=tmp_path)
        bench.desk.profiles = {mended.name: mended}
        bench.reconciler.wake()
        await eventually(lambda: bench.is_settled, within=2)


async def test_an_image_that_went_away_is_fetched_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, facts("a"))
    async with bench.running():
        await eventually(lambda: bench.is_settled, within=2)

        async def gone(verb: str) -> None:
            if verb == "create" and bench.engine.requests.count("ensure_image") == 1:
                raise ImageNotFoundError("it was removed")

        bench.engine.before = gone
        bench.desk.wanted[SessionName("b")] = facts("b")
        bench.reconciler.wake()
        await eventually(lambda: bench.desk.failures, within=2)
        bench.clock.now += 1.0
        bench.reconciler.wake()
        await eventually(lambda: bench.is_settled, within=2)


async def test_an_engine_that_is_down_is_told_once_and_heals_by_itself(tmp_path: Path) -> None:
    bench = Bench(tmp_path, facts())
    is_down = True

    async def down(_verb: str) -> None:
        if is_down:
            raise EngineDownError("nobody there")

    bench.engine.before = down
    async with bench.running():
        for looks in (1, 2, 3):
            await eventually(partial(has_looked, bench, looks))
            bench.reconciler.wake()
        assert bench.reconciler.down
        is_down = False
        bench.reconciler.wake()
        await eventually(lambda: bench.is_settled, within=2)
    assert bench.desk.engine == ["down", "up"]


async def test_a_create_that_timed_out_and_happened_is_not_repeated(tmp_path: Path) -> None:
    bench = Bench(tmp_path, facts())
    create = bench.engine.create

    async def late(spec: SandboxSpec) -> ContainerId:
        await create(spec)
        raise EngineTimeoutError("no answer")

    bench.engine.create = late  # type: ignore[method-assign]
    async with bench.running():
        await eventually(lambda: len(bench.engine.sandboxes) == 1, within=2)
        await eventually(lambda: bench.desk.failures)
        bench.clock.now += 1.0
        bench.reconciler.wake()
        await eventually(lambda: bench.is_settled, within=2)
    assert len(bench.engine.sandboxes) == 1


async def test_an_idle_deadline_is_a_look_of_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path, facts(last_active=1_000_000.0), idle_timeout=0.3)
    bench.clock.real = asyncio.get_running_loop().time
    now = asyncio.get_running_loop().time()
    bench.desk.wanted = {SessionName("main"): facts(last_active=now)}
    async with bench.running():
        await eventually(lambda: "stop" in bench.engine.requests, within=5)
        assert asyncio.get_running_loop().time() - now >= 0.3


async def test_a_look_can_be_asked_for_at_a_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.clock.real = asyncio.get_running_loop().time
    async with bench.running():
        await eventually(lambda: bench.engine.requests == ["observe"])
        bench.reconciler.wake_by(asyncio.get_running_loop().time() + 0.05)
        await eventually(lambda: bench.engine.requests == ["observe"] * 2, within=5)


async def test_a_glance_claims_what_is_warm_without_a_list(tmp_path: Path) -> None:
    bench = Bench(tmp_path, warm=1)
    async with bench.running():
        await eventually(lambda: any(item.attached for item in bench.desk.warm.values()))
        await eventually(lambda: bench.reconciler._world() and not bench.reconciler._busy)
        (warm,) = bench.engine.sandboxes.values()
        bench.desk.wanted[SessionName("main")] = facts()
        looks = bench.engine.requests.count("observe")
        bench.reconciler.glance()
        assert bench.reconciler.doing("session main")
        await eventually(lambda: bench.engine.sandboxes[warm.id].session == "main")
        assert "claim" in bench.engine.requests
        assert (
            bench.engine.requests[: bench.engine.requests.index("claim")].count("observe")
            <= looks + 1
        )
    assert (tmp_path / "main" / "workspace").is_dir()
    assert not list(tmp_path.glob(f".warm-{warm.warm_id}"))


async def test_the_next_step_does_not_wait_for_a_list(tmp_path: Path) -> None:
    bench = Bench(tmp_path, facts("a"))
    answers = asyncio.Event()
    answers.set()

    async def hold(verb: str) -> None:
        if verb == "observe":
            await answers.wait()

    bench.engine.before = hold
    async with bench.running():
        await eventually(lambda: bench.is_settled and not bench.reconciler._busy)
        answers.clear()
        bench.desk.wanted[SessionName("b")] = facts("b")
        bench.reconciler.glance()
        await eventually(
            lambda: (
                [box.state for box in bench.engine.sandboxes.values()] == [SandboxState.RUNNING] * 2
            )
        )
        # Which image it is of only a list tells, and what calls are approved for depends on that.
        assert not bench.is_settled
        answers.set()
        await eventually(lambda: bench.is_settled, within=2)
    assert bench.desk.failures == []
    assert bench.engine.requests.count("create") == 2


async def test_a_glance_before_the_first_list_makes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, facts())
    bench.reconciler._images.add(IMAGE)
    answers = asyncio.Event()

    async def hold(verb: str) -> None:
        if verb == "observe":
            await answers.wait()

    bench.engine.before = hold
    async with bench.running():
        await eventually(lambda: "observe" in bench.engine.requests)
        bench.reconciler.glance()
        assert bench.reconciler.doing("session main") is None
        answers.set()
        await eventually(lambda: bench.is_settled, within=2)


async def test_a_claim_that_fails_half_way_leaves_the_workspace_and_no_container(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, warm=1)
    async with bench.running():
        await eventually(lambda: any(item.attached for item in bench.desk.warm.values()))
        (warm,) = bench.engine.sandboxes.values()
        (tmp_path / f".warm-{warm.warm_id}" / "workspace" / "ready").write_text("set up")

        async def refuse(verb: str) -> None:
            if verb == "claim":
                raise EngineError("name in use")

        bench.engine.before = refuse
        bench.desk.wanted[SessionName("main")] = facts()
        bench.reconciler.glance()
        await eventually(lambda: bench.desk.failures, within=2)
    assert (tmp_path / "main" / "workspace" / "ready").read_text() == "set up"


async def test_a_bug_ends_the_loop_loudly(tmp_path: Path) -> None:
    bench = Bench(tmp_path, facts())

    async def broken(verb: str) -> None:
        if verb == "create":
            raise ZeroDivisionError

    bench.engine.before = broken
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(5):
            await bench.reconciler.run()
    assert caught.group_contains(ZeroDivisionError)
