"""What the tests that break things may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import User, somebody
from tests.e2e.engines import ENGINES, choose_engine
from tests.faults.nursery import Nursery
from tests.faults.place import ENGINE_HEAD, Place, new_place
from tests.faults.second_engine import SecondEngine, missing, second_engine
from tests.images import BUSYBOX


@pytest.fixture
def user() -> Iterator[User]:
    """A user of the first engine."""
    with somebody() as one:
        yield one


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """What forks daemons; one for all tests."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest, nursery: Nursery) -> Iterator[Place]:
    """A place on each engine that is here; no daemon runs yet."""
    with new_place(nursery, head="") as made:
        chosen = choose_engine(request, request.param, made, BUSYBOX)
        made.head = ENGINE_HEAD.format(chosen=chosen)
        yield made


@pytest.fixture(scope="session")
def started_engine() -> Iterator[SecondEngine]:
    """The second engine; one for all tests."""
    if reason := missing():
        pytest.skip(reason)
    with second_engine() as engine:
        yield engine


@pytest.fixture
def engine(started_engine: SecondEngine) -> Iterator[SecondEngine]:
    """The second engine, as it was left: up, with live-restore and without containers."""
    yield started_engine
    if not started_engine.is_up():
        started_engine.start(live_restore=True)
    started_engine.thaw_containerd()
    started_engine.thaw()


@pytest.fixture
def far_user(engine: SecondEngine) -> Iterator[User]:
    """A user of the second engine."""
    with somebody(engine.host) as one:
        yield one
