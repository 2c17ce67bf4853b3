"""explain(): a decision with all that led to it, and the smallest edit that would change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from deepd.model.profile import CONSOLE_TOOLS, Answer, Position, Profile, Rule, ToolPolicy
from deepd.policy.commands import read
from deepd.policy.decide import decide, names
from deepd.policy.pattern import MAX_PATTERN, pattern_of
from deepd.policy.place import lexical, relative
from deepd.policy.shell import Command, to_bytes, to_text
from deepd.policy.verdict import Verdict

MAX_EDITS = 8
"""Changes that are proposed together; whoever needs more wants another profile."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a profile."""

    action: Literal["add", "remove", "set"]
    key: str
    """`interrupt_on.execute.allow`"""
    value: str
    """In TOML's words: what is added to the list, taken out of it, or set."""
    position: Position | None = None
    """Where the line is that changes, where there is one."""

    def __str__(self) -> str:
        place = f" ({self.position})" if self.position else ""
        match self.action:
            case "add":
                return f"add {self.value} to {self.key}{place}"
            case "remove":
                return f"take {self.value} out of {self.key}{place}"
            case _:
                return f"set {self.key} = {self.value}{place}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is decided about one call, and why."""

    answer: Answer
    rule: str
    position: Position | None
    reason: str
    """What the profile's author gave as the reason."""
    detail: str
    part: tuple[int, int] | None
    """The bytes of the command that decided, from and up to."""
    part_text: str
    becomes: Answer | None
    """The answer after the edits; `None` where no rule would change it."""
    edits: tuple[Edit, ...]
    advice: str


@dataclass(frozen=True, slots=True)
class _Step:
    """One edit, and the profile after it."""

    edit: Edit
    profile: Profile


def explain(
    profile: Profile, tool: str, args: Mapping[str, Any], resolved: str | None = None
) -> Explanation:
    """Return the decision on a call, why, and the smallest edit that would change it."""
    verdict = decide(profile, tool, args, resolved)
    edits, _, becomes = smallest_edits(profile, tool, args, resolved)
    part_text = ""
    if verdict.part and tool == "execute":
        source = to_bytes(read(args).texts[0])
        part_text = to_text(source[slice(*verdict.part)])
    advice = ""
    if becomes is None:
        why = f": {verdict.detail}" if verdict.detail else ""
        advice = f"no rule over it changes that{why}; a person can approve it each time"
    return Explanation(
        verdict.answer,
        verdict.rule,
        verdict.position,
        verdict.reason,
        verdict.detail,
        verdict.part,
        part_text,
        becomes,
        edits,
        advice,
    )


def smallest_edits(
    profile: Profile, tool: str, args: Mapping[str, Any], resolved: str | None = None
) -> tuple[tuple[Edit, ...], Profile, Answer | None]:
    """Return the edits that change the answer together, the profile after them, and its answer.

    Each is tried out; where no rule would change the answer, there is none.
    """
    before = decide(profile, tool, args, resolved)
    edits: list[Edit] = []
    changed = profile
    verdict = before
    while len(edits) < MAX_EDITS:
        step = _step(changed, tool, args, resolved, verdict)
        if step is None:
            break
        edits.append(step.edit)
        changed = step.profile
        after = decide(changed, tool, args, resolved)
        if after.answer != before.answer:
            return tuple(edits), changed, after.answer
        if after == verdict:
            break
        verdict = after
    return (), profile, None


def _step(
    profile: Profile,
    tool: str,
    args: Mapping[str, Any],
    resolved: str | None,
    verdict: Verdict,
) -> _Step | None:
    """Return the next edit towards another answer."""
    entry = _entry(profile, tool, verdict)
    if verdict.answer == "allow":
        return _to_ask(profile, tool, args, resolved, entry)
    if verdict.by is not None and entry is not None:
        rules = tuple(rule for rule in entry.rules if rule is not verdict.by)
        key = f"{_key(entry)}.{verdict.by.answer}"
        edit = Edit("remove", key, _value(verdict.by), verdict.by.position)
        return _Step(edit, _with(profile, entry, replace(entry, rules=rules)))
    if entry is None:
        return _other_default(profile, tool)
    if rule := _allowing(profile, tool, args, resolved, verdict, entry):
        edit = Edit("add", f"{_key(entry)}.allow", _value(rule))
        return _Step(edit, _with(profile, entry, replace(entry, rules=(*entry.rules, rule))))
    if entry.rules:
        return None  # what is not proven, no rule allows
    answer: Answer = "allow" if verdict.answer == "ask" else "ask"
    return _Step(
        _default_edit(entry, answer), _with(profile, entry, replace(entry, default=answer))
    )


def _default_edit(entry: ToolPolicy, answer: Answer) -> Edit:
    """Return the edit of a whole entry, in the form that it is written in."""
    if entry.written == "interrupt_on = true":
        return Edit("set", "interrupt_on", "false", entry.position)
    if entry.written.startswith("interrupt_on = ["):
        return Edit("remove", "interrupt_on", f'"{entry.tool}"', entry.position)
    return Edit("set", _key(entry), f'"{answer}"', entry.position)


def _entry(profile: Profile, tool: str, verdict: Verdict) -> ToolPolicy | None:
    """Return the entry of `interrupt_on` that gave the verdict."""
    entries = [entry for entry in profile.interrupt_on if names(entry, tool)]
    if verdict.by is not None:
        return next((entry for entry in entries if verdict.by in entry.rules), None)
    exact = [entry for entry in entries if entry.position == verdict.position]
    return next(iter(exact or entries), None)


def _allowing(
    profile: Profile,
    tool: str,
    args: Mapping[str, Any],
    resolved: str | None,
    verdict: Verdict,
    entry: ToolPolicy,
) -> Rule | None:
    """Return the narrowest rule that would allow the part that decided."""
    if entry.tool != tool:
        return None
    if tool == "execute":
        reading = read(args)
        if reading.doubt is not None or (verdict.detail and not verdict.can_be_allowed):
            return None
        for command in reading.proven:
            span = (command.span.start, command.span.end)
            pattern = pattern_of(command.words)
            is_new = all(rule.match != pattern for rule in entry.rules)
            if is_new and verdict.part in (None, span) and len(pattern) <= MAX_PATTERN:
                return Rule("allow", match=pattern)
        return None
    if tool in CONSOLE_TOOLS and resolved is not None and (entry.rules or verdict.answer == "ask"):
        return Rule("allow", path=_glob(resolved, profile.work_dir))
    return None


def _to_ask(
    profile: Profile,
    tool: str,
    args: Mapping[str, Any],
    resolved: str | None,
    entry: ToolPolicy | None,
) -> _Step:
    """Return the edit that holds what is allowed."""
    if entry is None or (entry.tool != tool and tool in CONSOLE_TOOLS):
        name = tool if tool in CONSOLE_TOOLS else f"{tool}*"
        edit = Edit("set", _key(ToolPolicy(name, "ask")), '"ask"')
        made = ToolPolicy(name, "ask")
        return _Step(edit, replace(profile, interrupt_on=(*profile.interrupt_on, made)))
    rule: Rule | None = None
    if entry.rules and tool == "execute" and (commands := read(args).commands):
        rule = _asking(commands[0])
    elif entry.rules and tool in CONSOLE_TOOLS and tool != "execute":
        path = resolved or lexical(str(args.get("path", ".")), profile.work_dir)
        rule = Rule("ask", path=_glob(path, profile.work_dir))
    if rule is not None:
        edit = Edit("add", f"{_key(entry)}.ask", _value(rule))
        return _Step(edit, _with(profile, entry, replace(entry, rules=(*entry.rules, rule))))
    edit = Edit("set", _key(entry), '"ask"', entry.position)
    return _Step(edit, _with(profile, entry, replace(entry, default="ask")))


def _asking(command: Command) -> Rule | None:
    """Return a rule that holds a command; where its words are too many, by its first one."""
    pattern = pattern_of(command.words)
    if len(pattern) > MAX_PATTERN:
        pattern = f"{pattern_of(command.words[:1])} *"
    return Rule("ask", match=pattern) if len(pattern) <= MAX_PATTERN else None


def _other_default(profile: Profile, tool: str) -> _Step:
    """Return the edit for a tool that nothing names."""
    made = ToolPolicy(f"{tool}*", "allow")
    if profile.approvals.default == "deny":
        changed = replace(profile, approvals=replace(profile.approvals, default="ask"))
        return _Step(Edit("set", "approvals.default", '"ask"'), changed)
    changed = replace(
        profile,
        interrupt_on=(*profile.interrupt_on, made),
        approvals=replace(profile.approvals, default="allow"),
    )
    return _Step(Edit("set", _key(made), '"allow"'), changed)


def _with(profile: Profile, old: ToolPolicy, new: ToolPolicy) -> Profile:
    entries = tuple(new if entry is old else entry for entry in profile.interrupt_on)
    return replace(profile, interrupt_on=entries)


def _key(entry: ToolPolicy) -> str:
    bare = entry.tool.replace("_", "a").replace("-", "a").isalnum() and entry.tool.isascii()
    return f"interrupt_on.{entry.tool}" if bare else f'interrupt_on."{entry.tool}"'


def _value(rule: Rule) -> str:
    text = rule.path or rule.match
    shown = f"'{text}'" if '"' in text or "\\" in text else f'"{text}"'
    return f"{{path = {shown}}}" if rule.path else shown


def _glob(path: str, work_dir: str) -> str:
    inside = relative(path, work_dir)
    text = inside if inside else path
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)


def call_of(tool: str, words: list[str]) -> dict[str, Any]:
    """Return the arguments that a few words mean: a command, a path, a pattern."""
    if tool == "execute":
        return {"command": words[0]} if len(words) == 1 else {"argv": words}
    if not words:
        return {}
    return {"pattern" if tool in {"glob", "grep"} else "path": words[0]}


__all__ = ["Edit", "Explanation", "call_of", "explain", "smallest_edits"]
