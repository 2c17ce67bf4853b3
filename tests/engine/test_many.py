"""Several engines as one: what is said of them before and after any has answered."""

from __future__ import annotations

import pytest

from deepd.engine.fake import FakeEngine
from deepd.engine.many import Engines


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
