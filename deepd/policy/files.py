"""Rules over paths: which of them decides about a file tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepd.model.profile import Rule
from deepd.policy.commands import Finding
from deepd.policy.place import covers, lexical, may_be_below

SEARCHING = frozenset({"glob", "grep"})
"""Tools that look at all that is below their path."""

WHOLE = frozenset({"remove", "rename"})
"""Operations that take along all that is in a folder."""


def judge_path(
    rules: Sequence[Rule], tool: str, args: Mapping[str, Any], work_dir: str, resolved: str | None
) -> Finding:
    """Return what the rules of one entry say to a path.

    `resolved` is where the path really leads in the sandbox; `None` while that is not known, as
    the second path of a rename never is: then no rule allows, and what one could stop is asked.
    """
    rules = [rule for rule in rules if rule.path]
    path = lexical(str(args.get("path", ".")), work_dir)
    places = {path, resolved} if resolved else {path}
    operation = args.get("op") if tool == "write_file" else None
    if operation == "rename":
        places.add(lexical(str(args.get("to", ".")), work_dir))
    for answer in ("deny", "ask"):
        for rule in rules:
            if rule.answer == answer and any(covers(rule.path, at, work_dir) for at in places):
                return Finding(rule.answer, rule)
    stopping = [rule for rule in rules if rule.answer != "allow"]
    if tool in SEARCHING or operation in WHOLE:
        roots = places | _pattern_roots(tool, args, path)
        for rule in stopping:
            if any(may_be_below(rule.path, at, work_dir) for at in roots):
                detail = f"{operation or tool} may come upon what this rule means"
                return Finding("ask", rule, None, detail, is_unsure=True)
    return _allowed(rules, None if operation == "rename" else resolved, work_dir)


def _allowed(rules: Sequence[Rule], resolved: str | None, work_dir: str) -> Finding:
    """Return what the rules say to a path that none of them stops as it is written."""
    if resolved is None:
        is_stopped = any(rule.answer != "allow" for rule in rules)
        reason = "where the path leads is not known"
        return Finding("ask" if is_stopped else None, None, None, reason, is_unsure=True)
    for rule in rules:
        if rule.answer == "allow" and covers(rule.path, resolved, work_dir):
            return Finding("allow", rule)
    return Finding(None, None, None, f"no rule names {resolved}", can_be_allowed=True)


def _pattern_roots(tool: str, args: Mapping[str, Any], path: str) -> set[str]:
    """Return where a glob's own pattern leads beside its path."""
    pattern = str(args.get("pattern", "")) if tool == "glob" else ""
    return {"/"} if pattern.startswith("/") or ".." in pattern.split("/") else {path}
