"""What tests of the dashboard may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.tui.world import House, new_house


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A daemon that holds commands and changes of files, with `main` ready."""
    async with new_house() as built:
        yield built
