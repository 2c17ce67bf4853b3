"""Records: what the engine does not know of a container and a restart must not forget."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from deepd.errors import LimitError
from deepd.model.ids import ContainerId, ProfileName, SessionName
from deepd.model.profile import Limits
from deepd.reconcile.facts import Setup

logger = logging.getLogger(__name__)

_KEY = "containers"
_NO_PROFILE, _NO_SESSION = ProfileName(""), SessionName("")


class Meta(Protocol):
    """The store, as far as it is needed here."""

    def get_meta(self, key: str) -> str | None: ...

    def put_meta(self, key: str, value: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Record:
    """One container."""

    profile: ProfileName = _NO_PROFILE
    session: SessionName = _NO_SESSION
    """Empty while it is warm."""
    setup: Setup = ""
    work_dir: str = "/workspace"
    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    engine: str = ""
    """What the engine that has it calls itself; empty until that has shown it."""
    up: bool = False
    """It was seen to run: when it does not any more, its calls are gone."""

    @property
    def limits(self) -> Limits | None:
        """The limits that it was given, as far as the engine enforces them."""
        return Limits(memory=self.memory, cpus=self.cpus, pids=self.pids) if self.memory else None

    def with_limits(self, limits: Limits) -> Record:
        """Return the record of the container with other limits."""
        return replace(self, memory=limits.memory, cpus=limits.cpus, pids=limits.pids)


class Records:
    """All containers that this instance made and that may still be there."""

    def __init__(self, meta: Meta) -> None:
        self._meta = meta
        stored = json.loads(meta.get_meta(_KEY) or "{}")
        self._records = {ContainerId(key): _read(value) for key, value in stored.items()}

    def all(self) -> Mapping[ContainerId, Record]:
        """Return every record."""
        return dict(self._records)

    def get(self, container: ContainerId) -> Record:
        """Return the record of a container; an empty one when nothing is known of it."""
        return self._records.get(container, Record())

    def put(self, container: ContainerId, record: Record) -> None:
        """Keep what is known of a container."""
        if self._records.get(container) != record:
            self._records[container] = record
            self._write()

    def change(self, container: ContainerId, **fields: Any) -> None:
        """Change some of what is known."""
        self.put(container, replace(self.get(container), **fields))

    def forget(self, container: ContainerId) -> None:
        """The container is gone."""
        if self._records.pop(container, None):
            self._write()

    def _write(self) -> None:
        text = json.dumps({key: asdict(value) for key, value in self._records.items()})
        try:
            self._meta.put_meta(_KEY, text)
        except LimitError as error:
            # Kept in memory and written with the next change; forgotten only if deepd ends first.
            logger.warning("cannot write what is known of the containers: %s", error)


def _read(value: dict[str, Any]) -> Record:
    known = Record.__dataclass_fields__.keys()
    return Record(**{key: item for key, item in value.items() if key in known})
