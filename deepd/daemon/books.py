"""Books: what the parts of the daemon that look after sessions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deepd.daemon.activity import Activity
from deepd.daemon.ledger import Ledger
from deepd.daemon.news import Publish
from deepd.daemon.profiles import ProfileStore
from deepd.daemon.records import Records
from deepd.model.ids import ProfileName
from deepd.model.profile import Profile
from deepd.reconcile.backoff import Backoff


@dataclass(frozen=True, slots=True)
class Books:
    """Who is wanted, what is known, what is going on, what failed, and where to tell it."""

    instance: str
    ledger: Ledger
    records: Records
    profiles: ProfileStore
    activity: Activity
    backoff: Backoff
    publish: Publish
    clock: Callable[[], float]

    def profile(self, name: ProfileName) -> Profile | None:
        """Return the profile of that name, if one is in force."""
        return self.profiles.all().get(name)
