"""decide(): allow, ask or deny one call; pure, so that it can be asked again at any time.

Every entry of `interrupt_on` that names the tool gives one verdict, and the strongest counts:
deny over ask over allow. So `"*" = "ask"` holds also what another entry allows. A tool of deepd's
that no entry names runs; an agent's own tool gets `approvals.default`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from deepd.model.profile import CONSOLE_TOOLS, Answer, Profile, ToolPolicy
from deepd.policy.commands import Finding, judge
from deepd.policy.files import judge_path
from deepd.policy.verdict import STRENGTH, OnTimeout, Verdict


def decide(
    profile: Profile, tool: str, args: Mapping[str, Any], resolved: str | None = None
) -> Verdict:
    """Return what the profile says to a call.

    `resolved` is where a file tool's path really leads in the sandbox; without it what rules over
    paths could stop is asked (`needs_path` tells whether it matters).
    """
    found: Verdict | None = None
    for entry in _entries(profile, tool):
        verdict = _answer(entry, profile, tool, args, resolved)
        if found is None or STRENGTH[verdict.answer] > STRENGTH[found.answer]:
            found = verdict
    if found is not None:
        return found
    if tool in CONSOLE_TOOLS:
        rule = f"`interrupt_on` does not name {tool}" if profile.interrupt_on else "no rule"
        return Verdict("allow", rule)
    default = profile.approvals.default
    timeout, on_timeout = _waits(default, None, profile)
    rule = f'approvals.default = "{default}"'
    return Verdict(default, rule, timeout=timeout, on_timeout=on_timeout)


def needs_path(profile: Profile, tool: str) -> bool:
    """Return whether the answer depends on where a path leads."""
    return any(
        rule.path for entry in profile.interrupt_on if names(entry, tool) for rule in entry.rules
    )


def names(entry: ToolPolicy, tool: str) -> bool:
    """Return whether an entry is about a tool; a glob also about deepd's own."""
    return entry.tool == tool or (entry.tool not in CONSOLE_TOOLS and fnmatchcase(tool, entry.tool))


def _entries(profile: Profile, tool: str) -> list[ToolPolicy]:
    """Return the entries about a tool; the one with its very name comes first.

    Of equal answers the first one's line is shown.
    """
    exact, wider = [], []
    for entry in profile.interrupt_on:
        if entry.tool == tool:
            exact.append(entry)
        elif names(entry, tool):
            wider.append(entry)
    return exact + wider


def _answer(
    entry: ToolPolicy, profile: Profile, tool: str, args: Mapping[str, Any], resolved: str | None
) -> Verdict:
    """Return what one entry says: its rules, and its default to what they leave."""
    finding = _finding(entry, profile, tool, args, resolved)
    answer, rule = finding.answer or entry.default, finding.rule
    if finding.is_unsure and entry.default == "deny":
        answer, rule = "deny", None
    if rule is not None:
        written, position, reason = rule.written, rule.position, rule.reason
    else:
        written = entry.written or f'interrupt_on."{entry.tool}" = "{entry.default}"'
        position, reason = entry.position, ""
    timeout, on_timeout = _waits(answer, entry.timeout, profile)
    return Verdict(
        answer,
        written,
        position,
        reason,
        timeout,
        on_timeout,
        finding.detail,
        (finding.part.start, finding.part.end) if finding.part else None,
        rule,
        finding.can_be_allowed,
    )


def _finding(
    entry: ToolPolicy, profile: Profile, tool: str, args: Mapping[str, Any], resolved: str | None
) -> Finding:
    if not entry.rules:
        return Finding(None)
    if tool == "execute":

        def file_answer(file_tool: str, path: str) -> Answer:
            return decide(profile, file_tool, {"path": path}).answer

        return judge(profile, entry.rules, args, file_answer)
    return judge_path(entry.rules, tool, args, profile.work_dir, resolved)


def _waits(
    answer: Answer, timeout: float | None, profile: Profile
) -> tuple[float | None, OnTimeout]:
    """Return how long a call may wait, where it has to, and what follows."""
    if answer != "ask":
        return None, "deny"
    on_timeout = profile.approvals.on_timeout
    waits = None if on_timeout == "keep" else timeout or profile.approvals.timeout
    return waits, on_timeout
