"""Profiles: swapped as a set, the last good one kept, watched through what editors do."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from deepd.config.settings import Settings
from deepd.daemon.profiles import ProfileStore
from deepd.errors import NotFoundError
from deepd.model.ids import ProfileName
from tests.eventually import eventually

GOOD = 'image = "python:3.12-slim"\n'
P = ProfileName("p")


class Folder:
    """A folder of profiles and the store that reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path / "profiles"
        self.path.mkdir()
        self.news: list[tuple[str, str]] = []
        self.reloads = 0
        settings = Settings(
            runtime_dir=path / "run", state_dir=path / "state", allowed_roots=(path,)
        )
        self.store = ProfileStore([self.path], settings, self._publish)
        self.store.on_change(self._count)

    def write(self, text: str, name: str = "p") -> Path:
        """Write a file in one piece, as editors do."""
        path = self.path / f"{name}.toml"
        temporary = self.path / f".{name}.toml.swp"
        temporary.write_text(text)
        temporary.replace(path)
        return path

    def load(self, text: str, name: str = "p") -> None:
        """Write a file and reload."""
        self.write(text, name)
        self.store.reload()

    def states(self) -> dict[str, str]:
        """Return each profile's state."""
        return {state.name: state.state for state in self.store.states()}

    def timeout(self) -> float | None:
        """Return the idle timeout in force."""
        return self.store.get(P).idle_timeout

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Watch the folder meanwhile."""
        task = asyncio.create_task(self.store.watch())
        try:
            await asyncio.sleep(0)
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _count(self) -> None:
        self.reloads += 1

    def _publish(self, kind: str, *, session: str = "", call: str = "", **data: Any) -> None:
        self.news.append((kind, data["profile"]))


def watchers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("watch")]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_good_file_is_in_force(folder: Folder) -> None:
    folder.load(GOOD)
    assert folder.store.get(P).image == "python:3.12-slim"
    assert folder.states() == {"p": "ready"}
    assert folder.news == [("profile_loaded", "p")]


def test_a_broken_edit_leaves_the_last_good_version_in_force_and_says_where(
    folder: Folder,
) -> None:
    folder.load(GOOD)
    folder.load(GOOD + 'idle_timout = "5m"\n')
    (state,) = folder.store.states()
    assert state.state == "stale"
    assert str(state.problems[0].position).endswith("p.toml:2:1")
    assert state.revision == folder.store.get(P).revision()
    assert folder.store.is_complete
    folder.store.reload()
    folder.load(GOOD)
    assert folder.states() == {"p": "ready"}
    assert [kind for kind, _ in folder.news] == [
        "profile_loaded",
        "profile_rejected",
        "profile_loaded",
    ]


def test_a_file_that_never_was_good_is_broken_and_the_set_incomplete(folder: Folder) -> None:
    folder.load("image = \n")
    assert folder.states() == {"p": "broken"}
    assert not folder.store.is_complete
    with pytest.raises(NotFoundError, match="no profile 'p' is loaded"):
        folder.store.get(P)


def test_one_broken_file_holds_no_other_back(folder: Folder) -> None:
    folder.load(GOOD, "a")
    folder.write("image = \n", "a")
    folder.load(GOOD, "b")
    assert folder.states() == {"a": "stale", "b": "ready"}


def test_a_deleted_file_takes_its_profile_with_it(folder: Folder) -> None:
    folder.load(GOOD)
    (folder.path / "p.toml").unlink()
    folder.store.reload()
    assert folder.store.all() == {}
    assert folder.news[-1] == ("profile_removed", "p")


def test_a_reload_without_a_difference_is_no_news(folder: Folder) -> None:
    folder.load(GOOD)
    loaded_at = folder.store.states()[0].loaded_at
    folder.load("# a comment\n" + GOOD)
    assert folder.news == [("profile_loaded", "p")]
    assert folder.store.states()[0].loaded_at == loaded_at


def test_a_name_that_is_taken_is_refused_and_its_owner_keeps_it(folder: Folder) -> None:
    folder.load(GOOD, "z")
    folder.load(GOOD + 'name = "z"\n', "a")
    states = {state.file.stem: state for state in folder.store.states()}
    assert (states["z"].state, states["a"].state) == ("ready", "broken")
    assert "is taken by" in states["a"].problems[0].message
    assert folder.store.get(ProfileName("z")).file.stem == "z"


def test_a_file_that_takes_another_name_leaves_the_old_one(folder: Folder) -> None:
    folder.load(GOOD)
    folder.load(GOOD + 'name = "q"\n')
    assert list(folder.store.all()) == ["q"]
    assert folder.news == [
        ("profile_loaded", "p"),
        ("profile_loaded", "q"),
        ("profile_removed", "p"),
    ]


def test_candidates_are_shown_and_not_put_in_force(folder: Folder) -> None:
    folder.load(GOOD)
    folder.write(GOOD + 'idle_timeout = "5m"\n')
    assert folder.store.candidates().profiles[P].idle_timeout == 300
    assert folder.timeout() == 3600


def test_profiles_come_in_the_order_of_their_files(folder: Folder) -> None:
    for name in ("c", "a", "b"):
        folder.load(GOOD, name)
    assert list(folder.store.all()) == ["a", "b", "c"]


async def test_an_edit_is_noticed(folder: Folder) -> None:
    folder.load(GOOD)
    async with folder.watched():
        folder.write(GOOD + 'idle_timeout = "5m"\n')
        await eventually(lambda: folder.timeout() == 300)
        (folder.path / "p.toml").write_text(GOOD + 'idle_timeout = "6m"\n')
        await eventually(lambda: folder.timeout() == 360)


async def test_new_and_deleted_files_are_noticed(folder: Folder) -> None:
    folder.load(GOOD)
    async with folder.watched():
        folder.write(GOOD, "q")
        await eventually(lambda: folder.states() == {"p": "ready", "q": "ready"})
        (folder.path / "p.toml").unlink()
        await eventually(lambda: folder.states() == {"q": "ready"})


async def test_an_edit_between_loading_and_watching_is_noticed(folder: Folder) -> None:
    folder.load(GOOD)
    folder.write(GOOD + 'idle_timeout = "5m"\n')
    async with folder.watched():
        await eventually(lambda: folder.timeout() == 300)


async def test_a_folder_that_is_deleted_and_made_again_is_watched_on(folder: Folder) -> None:
    folder.load(GOOD)
    async with folder.watched():
        shutil.rmtree(folder.path)
        await eventually(lambda: folder.store.all() == {})
        folder.path.mkdir()
        folder.write(GOOD)
        await eventually(lambda: folder.states() == {"p": "ready"})
        folder.write(GOOD + 'idle_timeout = "5m"\n')
        await eventually(lambda: folder.timeout() == 300)


async def test_watching_leaves_no_thread_behind(folder: Folder) -> None:
    folder.load(GOOD)
    async with folder.watched():
        await eventually(watchers)
    await eventually(lambda: not watchers())


async def test_what_editors_leave_beside_a_file_reloads_nothing(folder: Folder) -> None:
    folder.load(GOOD)
    async with folder.watched():
        reloads = folder.reloads
        (folder.path / ".p.toml.swp").write_text("x")
        (folder.path / "notes.txt").write_text("x")
        folder.write(GOOD, "q")
        await eventually(lambda: "q" in folder.states())
        assert folder.reloads == reloads + 1


async def test_a_file_that_was_named_is_followed_through_a_rename_over_it(
    tmp_path: Path,
) -> None:
    folder = Folder(tmp_path)
    folder.store.paths = (folder.write(GOOD),)
    folder.store.reload()
    async with folder.watched():
        folder.write(GOOD + 'idle_timeout = "5m"\n')
        await eventually(lambda: folder.timeout() == 300)
        assert len(folder.store.states()) == 1
