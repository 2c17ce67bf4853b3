"""Describe: what is going to happen, as lines for a person: the plan's own text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from deepd.model.ids import ProfileName
from deepd.model.profile import Profile
from deepd.reconcile.action import (
    Action,
    Attach,
    Claim,
    Close,
    Create,
    CreateWarm,
    Pause,
    PullImage,
    Remove,
    Resume,
    SetUp,
    Start,
    Stop,
    Update,
)
from deepd.reconcile.plan import Plan

Mark = Literal["+", "~", "-", "-/+"]
PlannedLine = dict[str, str | bool]

_ACTIONS: dict[Mark, str] = {"+": "create", "~": "update", "-": "remove", "-/+": "recreate"}

_VERBS: dict[type, tuple[Mark, str]] = {
    Create: ("+", "create"),
    Claim: ("+", "claim a warm sandbox"),
    CreateWarm: ("+", "create"),
    Start: ("+", "start"),
    Attach: ("+", "attach"),
    SetUp: ("+", "set up"),
    Update: ("~", "update limits"),
    Pause: ("~", "pause"),
    Resume: ("~", "resume"),
    Stop: ("-", "stop"),
    Close: ("-", "close"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One change: what it is about, what happens, and why or when."""

    mark: Mark
    subject: str
    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """The changes of one profile."""

    profile: str
    file: str
    lines: tuple[Line, ...]


def describe(plan: Plan, profiles: Mapping[ProfileName, Profile] | None = None) -> str:
    """Return a plan as text; an empty one says so."""
    return render(sections_of(plan.actions, profiles or {}))


def sections_of(
    actions: Sequence[Action], profiles: Mapping[ProfileName, Profile]
) -> tuple[Section, ...]:
    """Return the actions as lines, by profile."""
    lines: dict[ProfileName, list[Line]] = {}
    for action in actions:
        lines.setdefault(_profile_name(action), []).append(_line(action))
    return tuple(
        Section(name, str(profiles[name].file) if name in profiles else "", tuple(found))
        for name, found in lines.items()
    )


def render(sections: Sequence[Section], summary: str = "") -> str:
    """Return the sections with their columns aligned, and how many changes there are."""
    lines = [line for section in sections for line in section.lines]
    if not lines:
        return "no changes"
    subject_width = max(len(line.subject) for line in lines)
    text_width = max(len(line.text) for line in lines)
    out: list[str] = []
    for section in sections:
        out.append(f"profile {section.profile}" + (f" ({section.file})" if section.file else ""))
        for line in section.lines:
            columns = f"{line.subject:<{subject_width}}    {line.text:<{text_width}}    {line.note}"
            out.append(f"{line.mark:>3} {columns}".rstrip())
    count = len(lines)
    out.append(f"{count} change{'' if count == 1 else 's'}" + (f"; {summary}" if summary else ""))
    return "\n".join(out)


def _line(action: Action) -> Line:
    match action:
        case PullImage(profile=profile):
            verb = "build" if profile.build else "pull"
            return Line("+", profile.image_ref, verb, action.cause)
        case CreateWarm(number=number):
            return Line("+", f"warm-{number}", "create", action.cause)
        case Remove(again=again):
            return Line("-/+" if again else "-", _subject(action), "remove", action.cause)
        case _:
            mark, verb = _VERBS[type(action)]
            return Line(mark, _subject(action), verb, action.cause)


def _subject(action: Action) -> str:
    match action:
        case Create(session=session) | Claim(session=session) | Close(session=session):
            return session.name
        case PullImage() | CreateWarm():
            return ""
        case _:
            return action.sandbox.session or f"warm {action.sandbox.warm_id}"


def _profile_name(action: Action) -> ProfileName:
    match action:
        case PullImage(profile=profile) | CreateWarm(profile=profile):
            return profile.name
        case Create(session=session) | Claim(session=session) | Close(session=session):
            return session.profile
        case _:
            return action.sandbox.profile


def as_dicts(sections: Iterable[Section]) -> list[PlannedLine]:
    """Return the lines as programs are told them."""
    return [
        {
            "action": _ACTIONS[line.mark],
            "profile": section.profile,
            "file": section.file,
            "session": line.subject,
            "text": f"{line.subject}    {line.text}",
            "cause": line.note,
            "again": line.mark == "-/+",
        }
        for section in sections
        for line in section.lines
    ]
