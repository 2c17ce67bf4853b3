"""Standing sessions: those that profiles declare are kept in existence, and go when they don't."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deepd.model.ids import ProfileName, SessionName
from deepd.model.profile import Profile
from deepd.reconcile.facts import SessionFacts


@dataclass(frozen=True, slots=True)
class Standing:
    """What to open and to close."""

    opens: tuple[tuple[SessionName, ProfileName], ...] = ()
    closes: tuple[SessionName, ...] = ()


def declared(profiles: Mapping[ProfileName, Profile]) -> dict[SessionName, ProfileName]:
    """Return whose each declared session is; of two profiles that name it, the first's."""
    found: dict[SessionName, ProfileName] = {}
    for profile in profiles.values():
        for name in profile.sessions:
            found.setdefault(SessionName(name), profile.name)
    return found


def standing(
    profiles: Mapping[ProfileName, Profile], sessions: Sequence[SessionFacts], *, complete: bool
) -> Standing:
    """Return what the profiles' `sessions` ask for; nobody is closed while busy.

    While a file has no good version nobody is closed at all: it may be the one that declares it.
    """
    owners = declared(profiles)
    existing = {facts.session.name for facts in sessions}
    opens = [(name, owner) for name, owner in owners.items() if name not in existing]
    closes = [
        facts.session.name
        for facts in sessions
        if complete
        and facts.session.declared
        and facts.session.wanted not in {"closed", "purged"}
        and not facts.is_busy
        and owners.get(facts.session.name) != facts.session.profile
    ]
    return Standing(tuple(opens), tuple(closes))
