"""The README's pictures show the dashboard as it is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.tui.screenshots import FOLDER, PICTURES, draw


@pytest.fixture(autouse=True)
def same_zone_afterwards() -> Iterator[None]:
    """Give other tests their time zone back."""
    before = os.environ.get("TZ")
    yield
    os.environ.pop("TZ", None)
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize("name", PICTURES)
async def test_a_picture_in_the_readme_is_what_the_app_shows_now(name: str) -> None:
    kept = (FOLDER / f"{name}.svg").read_text()
    assert await draw(name) == kept, "draw them anew: python -m tests.tui.screenshots"


def test_every_picture_is_in_the_readme_and_no_other() -> None:
    readme = (FOLDER.parent / "README.md").read_text()
    assert {path.stem for path in FOLDER.iterdir()} == set(PICTURES)
    assert all(f"(.screenshots/{name}.svg)" in readme for name in PICTURES)
