"""`interrupt_on` as it is given to an agent: everything that a profile's may be, in Python."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, get_args

from deepd.config import interrupt as config
from deepd.config.document import Document
from deepd.config.policy import policy_problems
from deepd.config.shape import ProfileFile
from deepd.config.source import Source
from deepd.config.validation import validate
from deepd.errors import ArgumentsError
from deepd.model.ids import ProfileName
from deepd.model.profile import CONSOLE_TOOLS, Answer, Approvals, Profile, ToolPolicy
from deepd.policy.decide import decide
from deepd.policy.verdict import Verdict

InterruptOn: TypeAlias = bool | Sequence[str] | Mapping[str, bool | Answer | Mapping[str, Any]]
"""`True`: every call is held. A list: the calls of these tools. A mapping: an answer for each
tool, `True` or "ask", `False` or "allow", "deny", or a table as in a profile, such as
`{"default": "ask", "allow": ["ls *"]}`. Names may be globs, such as `mcp_*`.

Rules over paths go by the path as it was written: only the daemon knows where links lead, so what
such a rule could stop is asked.
"""

_ANSWERS: tuple[str, ...] = get_args(Answer)
_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Interrupts:
    """The answers for an agent's tools; deny is stronger than ask, and ask than allow."""

    policies: tuple[ToolPolicy, ...]

    def decide(self, tool: str, args: Mapping[str, Any]) -> Verdict:
        """Return the answer to a call; a tool that nothing names is allowed."""
        return decide(self._profile(), tool, args)

    def unknown(self, tools: Iterable[str]) -> list[str]:
        """Return the names, globs aside, that none of these tools has."""
        known = set(tools)
        return [
            policy.tool
            for policy in self.policies
            if policy.tool not in known and not _GLOB & set(policy.tool)
        ]

    def _profile(self) -> Profile:
        # The same rules in the same function as in the daemon; only that an agent's own tools
        # are the agent's author's to name.
        allow = Approvals(default="allow", on_timeout="keep")
        return Profile(ProfileName("agent"), Path(), interrupt_on=self.policies, approvals=allow)


def read_interrupt_on(value: InterruptOn | None) -> Interrupts:
    """Return what `interrupt_on` means, or raise `ArgumentsError` for what it may not be."""
    match value:
        case None | False:
            policies = []
        case True:
            policies = [ToolPolicy("*", "ask", written="interrupt_on = true")]
        case str():
            raise ArgumentsError(
                f"interrupt_on: a single text, {value!r}", next_step=f"write [{value!r}]"
            )
        case Mapping():
            policies = [_keyed(tool, entry) for tool, entry in value.items()]
        case Sequence():
            policies = [
                ToolPolicy(_name(tool), "ask", written=f'interrupt_on = ["{tool}"]')
                for tool in value
            ]
        case _:
            raise ArgumentsError(
                f"interrupt_on: {type(value).__name__} is none of its forms",
                next_step="give True, a list of tools, or a mapping of tools to answers",
            )
    return Interrupts(tuple(policies))


def unknown_tool(name: str, tools: Iterable[str]) -> ArgumentsError:
    """Return the error for a name that no tool has: a typo must not open a gate."""
    known = sorted(set(tools))
    near = difflib.get_close_matches(name[:80], known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"the tools are {', '.join(known)}"
    return ArgumentsError(f"interrupt_on: no tool is called {name!r}; {hint}")


def _keyed(tool: object, entry: object) -> ToolPolicy:
    name = _name(tool)
    match entry:
        case bool():
            answer: Answer = "ask" if entry else "allow"
            return ToolPolicy(name, answer, written=f"interrupt_on.{name} = {str(entry).lower()}")
        case "allow" | "ask" | "deny":
            return ToolPolicy(name, entry, written=f'interrupt_on.{name} = "{entry}"')
        case Mapping():
            return _table(name, entry)
        case str():
            raise ArgumentsError(
                f"interrupt_on: {name}: {entry!r} is no answer; {_nearest_answer(entry)}"
            )
        case _:
            raise ArgumentsError(
                f"interrupt_on: {name}: {type(entry).__name__} is no answer",
                next_step='give True, False, "allow", "ask" or "deny"',
            )


def _table(name: str, entry: Mapping[str, Any]) -> ToolPolicy:
    """Return the policy of a table, read as a profile's is: `default`, and rules over arguments."""
    is_own = name not in CONSOLE_TOOLS and not _GLOB & set(name)
    # A profile names an agent's own tools by globs only.
    key = f"{name}*" if is_own else name
    values = {"image": "none", "interrupt_on": {key: _plain(entry)}}
    document = Document(Source(Path("interrupt_on"), ""), values, {})
    shape, problems = validate(ProfileFile, document)
    if shape is not None and not problems:
        problems = list(policy_problems(shape, document))
    if shape is None or problems:
        said = "; ".join(problem.message for problem in problems).replace(key, name)
        raise ArgumentsError(f"interrupt_on: {name}: {said}", next_step=problems[0].hint)
    (policy,) = config.read_interrupt_on(shape.interrupt_on, document)
    rules = tuple(replace(rule, position=None) for rule in policy.rules)
    written = policy.written.replace(key, name)
    return replace(policy, tool=name, rules=rules, position=None, written=written)


def _plain(value: object) -> object:
    """Return the same in the types that TOML is read to."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return value


def _name(tool: object) -> str:
    if not isinstance(tool, str) or not tool:
        raise ArgumentsError(f"interrupt_on: {tool!r} is not a tool's name")
    return tool


def _nearest_answer(entry: str) -> str:
    near = difflib.get_close_matches(entry, _ANSWERS, n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else 'an answer is "allow", "ask" or "deny"'
