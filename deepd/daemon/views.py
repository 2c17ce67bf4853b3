"""Views: sessions as they are shown, made from what is wanted, known and observed."""

from __future__ import annotations

from deepd.daemon.books import Books
from deepd.daemon.desk import Desk
from deepd.daemon.keeper import Keeper
from deepd.daemon.live import Live
from deepd.engine.base import Engine
from deepd.model.profile import Profile
from deepd.model.sandbox import Sandbox
from deepd.model.session import Session, SessionView
from deepd.reconcile.action import Action, PullImage, Remove, Stop, image_lane, session_key, up_lane
from deepd.reconcile.facts import Failure
from deepd.reconcile.reconciler import Reconciler
from deepd.reconcile.status import Seen, state_of
from deepd.reconcile.step import is_outdated


class Views:
    """Derives what a person is told; keeps nothing."""

    def __init__(
        self, books: Books, keeper: Keeper, desk: Desk, reconciler: Reconciler, engine: Engine
    ) -> None:
        self._books = books
        self._keeper = keeper
        self._desk = desk
        self._reconciler = reconciler
        self._engine = engine

    def all(self) -> list[SessionView]:
        """Return every session, by name."""
        return [self.of(session) for session in self._books.ledger.all()]

    def of(self, session: Session) -> SessionView:
        """Return one session as it is now."""
        profile = self._books.profile(session.profile)
        sandbox = self.sandbox(session)
        live = self.live(session)
        facts = self._desk.facts(session)
        doing = self._doing(session, profile)
        now = self._books.clock()
        state, cause = state_of(
            Seen(
                facts,
                profile,
                sandbox,
                live is not None,
                now,
                doing,
                self.failure(session),
                self._reconciler.down,
            )
        )
        is_up = state in {"ready", "busy", "held"}
        return SessionView(
            session.name,
            session.profile,
            state,
            cause,
            engine=sandbox.engine or self._engine.name if sandbox else self._engine.name,
            container=live.container if live else sandbox.id if sandbox else "",
            image=live.image if live else sandbox.image if sandbox else "",
            user=f"{live.guest.info.uid}:{live.guest.info.gid}" if live else "",
            created_at=session.created_at,
            last_active=session.last_active,
            idle_at=facts.idle_at(profile) if is_up and profile else None,
            running=facts.running,
            held=facts.held,
            generation=session.generation,
            progress=self._progress(doing),
            stale=bool(sandbox and profile and is_outdated(sandbox, profile)),
            isolation=sandbox.isolation if sandbox else "",
            lane=live is not None and live.guest.has_lane,
        )

    def live(self, session: Session) -> Live | None:
        """Return a session's sandbox if calls may be sent to it now."""
        doing = self._reconciler.doing(session_key(session.name))
        return None if ends(doing) else self._keeper.offered(session.name)

    def sandbox(self, session: Session) -> Sandbox | None:
        """Return the container of a session as of the last look."""
        for sandbox in self._reconciler.sandboxes:
            if sandbox.session == session.name:
                return sandbox
        return None

    def failure(self, session: Session) -> Failure | None:
        """Return what keeps a session from coming up, itself or its image."""
        profile = self._books.profile(session.profile)
        if profile is None:
            return None
        failures = self._books.backoff.failures
        revision, now = profile.revision(), self._books.clock()
        found = [failures.get(up_lane(session.name)), failures.get(image_lane(profile))]
        return next((item for item in found if item and item.holds(now, revision)), None)

    def _doing(self, session: Session, profile: Profile | None) -> Action | None:
        doing = self._reconciler.doing(session_key(session.name))
        if (
            doing is None
            and profile
            and self._desk.facts(session).should_run(profile, self._books.clock())
        ):
            return self._reconciler.doing(image_lane(profile))
        return doing

    def _progress(self, doing: Action | None) -> float | None:
        if not isinstance(doing, PullImage):
            return None
        return self._keeper.images.get(doing.profile.image_ref, ("", None))[1]


def ends(action: Action | None) -> bool:
    """Tell whether an action takes a sandbox away from its callers."""
    return isinstance(action, Stop | Remove)
