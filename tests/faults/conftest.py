"""What the tests that break things may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import User, somebody
from tests.faults.nursery import Nursery
from tests.faults.second_engine import SecondEngine, missing, second_engine


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
