"""What tests leave on the engine, found by their own instance's label and removed."""

from __future__ import annotations

from contextlib import suppress

from docker.errors import APIError

from deepd.engine.labels import INSTANCE
from tests.images import engine_api


def find_leftovers(instance: str, url: str = "") -> list[str]:
    """Return the ids of an instance's containers."""
    rows = engine_api(url).containers(all=True, filters={"label": f"{INSTANCE}={instance}"})
    return [row["Id"] for row in rows]


def remove_leftovers(instance: str, url: str = "") -> None:
    """Remove an instance's containers with their unnamed volumes."""
    for container in find_leftovers(instance, url):
        with suppress(APIError):
            engine_api(url).remove_container(container, force=True, v=True)
