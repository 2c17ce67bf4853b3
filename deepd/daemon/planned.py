"""Planned: what a reload and the next look would do, as programs and people are told it."""

from __future__ import annotations

from deepd.daemon.books import Books
from deepd.daemon.desk import Desk
from deepd.reconcile.describe import PlannedLine, as_dicts, sections_of
from deepd.reconcile.plan import plan
from deepd.reconcile.preview import preview
from deepd.reconcile.reconciler import Reconciler


def planned(books: Books, desk: Desk, reconciler: Reconciler) -> list[PlannedLine]:
    """Return the changes that are in the files and not in force, then what is not done yet."""
    world = desk.world(reconciler.images, books.backoff.failures)
    files = books.profiles.candidates()
    changes = preview(
        world.profiles,
        files.profiles,
        world.sessions,
        reconciler.sandboxes,
        complete=files.is_complete,
    )
    pending = plan(world, reconciler.sandboxes, books.clock())
    return as_dicts((*changes.sections, *sections_of(pending.actions, world.profiles)))
