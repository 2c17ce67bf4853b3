"""Preview: what putting other profiles in force would do, before anybody does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deepd.model.ids import ProfileName
from deepd.model.profile import Profile
from deepd.model.sandbox import Sandbox, SandboxState
from deepd.reconcile.changes import Change, changes
from deepd.reconcile.describe import Line, Mark, Section, render
from deepd.reconcile.facts import SessionFacts
from deepd.reconcile.standing import standing

_WHEN = {
    "idle": "recreate when idle",
    "now": "recreate as soon as nothing runs",
    "new": "only its next sandbox",
}


@dataclass(frozen=True, slots=True)
class Preview:
    """The changes by profile, and what they cost."""

    sections: tuple[Section, ...]
    summary: str

    @property
    def count(self) -> int:
        """How many changes there are; 0 is nothing to do."""
        return sum(len(section.lines) for section in self.sections)

    def __str__(self) -> str:
        return render(self.sections, self.summary)


def preview(
    loaded: Mapping[ProfileName, Profile],
    candidates: Mapping[ProfileName, Profile],
    sessions: Sequence[SessionFacts],
    sandboxes: Sequence[Sandbox],
    *,
    complete: bool = True,
) -> Preview:
    """Return what changes when `candidates` take the place of `loaded`.

    Without sessions, sandboxes and loaded profiles it is what a first start would do.
    """
    boxes = {box.session: box for box in sandboxes if box.session}
    wanted = standing(candidates, sessions, complete=complete)
    sections: list[Section] = []
    for name in dict.fromkeys([*candidates, *loaded]):
        old, new = loaded.get(name), candidates.get(name)
        mine = [facts for facts in sessions if facts.session.profile == name]
        lines = [
            Line("+", opened, "new session") for opened, owner in wanted.opens if owner == name
        ]
        for facts in mine:
            if facts.session.name in wanted.closes:
                lines.append(
                    Line("-", facts.session.name, "not declared any more", "workspace stays")
                )
            elif new is None and complete:
                lines.append(Line("-", facts.session.name, "no profile", "stops when not busy"))
            elif old and new:
                lines += _changed(facts, old, new, boxes.get(facts.session.name))
        lines += _warm(old, new)
        if lines:
            file = new.file if new else old.file if old else ""
            sections.append(Section(name, str(file), tuple(lines)))
    return Preview(tuple(sections), _summary(sections, sessions))


def _changed(
    facts: SessionFacts, old: Profile, new: Profile, sandbox: Sandbox | None
) -> list[Line]:
    return [_change_line(facts, change, new, sandbox) for change in changes(old, new)]


def _change_line(
    facts: SessionFacts, change: Change, profile: Profile, sandbox: Sandbox | None
) -> Line:
    is_up = sandbox is not None and sandbox.state in {SandboxState.RUNNING, SandboxState.PAUSED}
    name = facts.session.name
    if change.needs == "live":
        return Line("~", name, change.text, "live")
    if not is_up:
        return Line("~", name, change.text, "on next start")
    mark: Mark = "~" if profile.on_change == "new" else "-/+"
    return Line(mark, name, change.text, _WHEN[profile.on_change])


def _warm(old: Profile | None, new: Profile | None) -> list[Line]:
    before, after = old.warm if old else 0, new.warm if new else 0
    text = f"warm {before} -> {after}"
    added = [Line("+", f"warm-{number}", text) for number in range(before + 1, after + 1)]
    removed = [Line("-", f"warm-{number}", text) for number in range(after + 1, before + 1)]
    is_replaced = old and new and old.container_hash() != new.container_hash()
    kept = range(1, min(before, after) + 1) if is_replaced else ()
    return [Line("-/+", f"warm-{number}", "profile changed") for number in kept] + added + removed


def _summary(sections: Sequence[Section], sessions: Sequence[SessionFacts]) -> str:
    """Return what is lost: what containers have outside of workspace and volumes goes with them."""
    names = {facts.session.name for facts in sessions}
    replaced = {
        line.subject
        for section in sections
        for line in section.lines
        if line.mark in {"-", "-/+"} and line.subject in names
    }
    busy = sorted(
        facts.session.name for facts in sessions if facts.session.name in replaced and facts.is_busy
    )
    if not replaced:
        return "nothing is lost: no running call, no container"
    kept = f"waits for the calls of {', '.join(busy)}" if busy else "no running call"
    plural = "a container" if len(replaced) == 1 else f"{len(replaced)} containers"
    return f"{kept}; what {plural} had outside of workspace and volumes goes"
