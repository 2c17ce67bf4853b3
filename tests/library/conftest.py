"""Sandboxes as a program's author makes them, apart from everybody else's on the engine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepd import DockerSandbox
from deepd.library.wish import make_wish
from tests.leftover import remove_leftovers


@pytest.fixture(scope="package", autouse=True)
def runtime_folder() -> Iterator[Path]:
    """Give these tests a runtime folder, and so an instance, of their own."""
    with (
        tempfile.TemporaryDirectory(prefix="deepd-lib-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("DEEPD_RUNTIME_DIR", folder)
        yield Path(folder)


@pytest.fixture
def root() -> Iterator[Path]:
    """Return a workspace root; the containers of its instance go with it."""
    with tempfile.TemporaryDirectory(prefix="deepd-root-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path
        remove_leftovers(instance_of(path))


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the instance of this test's sandboxes without a root; what it leaves is removed."""
    with tempfile.TemporaryDirectory(prefix="deepd-lib-") as folder:
        monkeypatch.setenv("DEEPD_RUNTIME_DIR", folder)
        instance = instance_of(None)
        yield instance
        remove_leftovers(instance)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[DockerSandbox]:
    """Return a sandbox that the tests of a module share."""
    made = DockerSandbox()
    yield made
    made.stop()


def instance_of(root: Path | None) -> str:
    """Return the instance of a root."""
    return make_wish(
        image="any",
        work_dir="/workspace",
        auto_remove=True,
        runtime=None,
        session_id="any",
        idle_timeout=None,
        volumes=None,
        workspace_root=root,
        options={},
    ).instance
