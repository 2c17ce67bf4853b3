"""ProfileStore: the profiles in force, swapped as a whole, the last good version of each kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deepd.config.load import load_profile
from deepd.config.paths import config_dir
from deepd.config.problem import Problem, file_problem
from deepd.config.settings import Settings
from deepd.daemon.news import Publish
from deepd.daemon.watch import Signature, changes, existing_profiles, signature
from deepd.errors import NotFoundError, ProfileError
from deepd.model.ids import ProfileName
from deepd.model.profile import Profile

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProfileState:
    """How one profile's file is doing."""

    name: ProfileName
    file: Path
    state: Literal["ready", "stale", "broken"]
    """`stale`: the file has problems and its last good version is in force; `broken`: none is."""
    revision: str = ""
    """Of what is in force."""
    problems: tuple[Problem, ...] = ()
    loaded_at: float = 0.0
    """When what is in force was read."""


@dataclass(frozen=True, slots=True)
class ProfileSet:
    """All profiles at one moment."""

    profiles: Mapping[ProfileName, Profile] = field(default_factory=dict)
    states: tuple[ProfileState, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Tell whether every file has a good version; else a missing profile may yet come."""
        return all(state.state != "broken" for state in self.states)


class ProfileStore:
    """What files say now; a file that makes no sense leaves its last good version in force."""

    def __init__(
        self,
        paths: Sequence[Path],
        settings: Settings,
        publish: Publish,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.paths = tuple(path.absolute() for path in paths or [config_dir()])
        self._settings = settings
        self._publish = publish
        self._clock = clock
        self._set = ProfileSet()
        self._signature: Signature = ()
        self._on_change: list[Callable[[], None]] = []

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back after every reload, whatever it changed."""
        self._on_change.append(callback)

    def get(self, name: ProfileName) -> Profile:
        """Return the version in force."""
        if profile := self._set.profiles.get(name):
            return profile
        known = ", ".join(sorted(self._set.profiles)) or "none"
        raise NotFoundError(
            f"no profile {name!r} is loaded", next_step=f"use one of these: {known}"
        )

    def all(self) -> dict[ProfileName, Profile]:
        """Return the versions in force, in the order of their files."""
        return dict(self._set.profiles)

    def states(self) -> list[ProfileState]:
        """Return how each file is doing."""
        return list(self._set.states)

    @property
    def is_complete(self) -> bool:
        """Tell whether every file has a good version."""
        return self._set.is_complete

    def candidates(self) -> ProfileSet:
        """Return what a reload would put in force; nothing changes."""
        return self._read()

    def read(self, file: Path) -> Profile:
        """Return the profile that a file is; nothing changes. `ProfileError` says all problems."""
        return load_profile(file, self._settings)

    def reload(self) -> None:
        """Read all files and put what is good in force, at once."""
        self._signature = signature(self.paths)
        before, self._set = self._set, self._read()
        self._tell(before, self._set)
        for callback in self._on_change:
            callback()

    async def watch(self) -> None:
        """Reload whenever the files change, until cancelled."""
        async for _ in changes(self.paths, self._signature):
            self.reload()

    def _read(self) -> ProfileSet:
        profiles: dict[ProfileName, Profile] = {}
        states: list[ProfileState] = []
        last_good = {state.file: state for state in self._set.states if state.state != "broken"}
        files = existing_profiles(self.paths)
        # Who had a name before keeps it, so that a copy of a file takes nothing over.
        for file in sorted(files, key=lambda file: file not in last_good):
            before = last_good.get(file)
            profile, problems = self._load(file, before)
            if profile and profile.name in profiles:
                problems = (_taken(file, profiles[profile.name]),)
                profile = None
            if profile:
                profiles[profile.name] = profile
            states.append(self._state(file, profile, problems, before))
        order = {file: number for number, file in enumerate(files)}
        states.sort(key=lambda state: order[state.file])
        in_order = sorted(profiles.values(), key=lambda profile: order[profile.file])
        return ProfileSet({profile.name: profile for profile in in_order}, tuple(states))

    def _load(
        self, file: Path, before: ProfileState | None
    ) -> tuple[Profile | None, tuple[Problem, ...]]:
        try:
            return load_profile(file, self._settings), ()
        except ProfileError as error:
            found = tuple(item for item in error.problems if isinstance(item, Problem))
            problems = found or (file_problem(file, str(error)),)
        return (self._set.profiles.get(before.name) if before else None), problems

    def _state(
        self,
        file: Path,
        profile: Profile | None,
        problems: tuple[Problem, ...],
        before: ProfileState | None,
    ) -> ProfileState:
        if profile is None:
            return ProfileState(ProfileName(file.stem), file, "broken", problems=problems)
        revision = profile.revision()
        is_same = before is not None and before.revision == revision
        return ProfileState(
            profile.name,
            file,
            "stale" if problems else "ready",
            revision,
            problems,
            before.loaded_at if before and is_same else self._clock(),
        )

    def _tell(self, before: ProfileSet, after: ProfileSet) -> None:
        were = {state.file: state for state in before.states}
        for state in after.states:
            was = were.get(state.file)
            told = {"profile": state.name, "file": str(state.file)}
            if state.problems and (was is None or was.problems != state.problems):
                logger.warning("%s", state.problems[0])
                self._publish(
                    "profile_rejected",
                    **told,
                    state=state.state,
                    problems=[str(problem) for problem in state.problems[:20]],
                )
            is_news = was is None or was.revision != state.revision or was.problems
            if state.state == "ready" and is_news:
                self._publish("profile_loaded", **told, revision=state.revision)
        for name in before.profiles.keys() - after.profiles.keys():
            self._publish("profile_removed", profile=name, file=str(before.profiles[name].file))


def _taken(file: Path, other: Profile) -> Problem:
    return file_problem(
        file,
        f"the name `{other.name}` is taken by {other.file}",
        'give one of them another `name = "…"`',
    )
