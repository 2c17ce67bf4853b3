"""The rules of one entry over commands, made ready: their patterns read, and found by first words.

A profile never changes once it is read, and is asked about thousands of calls.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from deepd.model.profile import Rule
from deepd.policy.pattern import Pattern, WordPattern, parse_pattern
from deepd.policy.shell import Command

MAX_TABLES = 256


@dataclass(frozen=True, slots=True)
class Ready:
    """One rule and what it means."""

    rule: Rule
    pattern: Pattern
    head: str | None
    """The word that every command begins with that it means; `None` where there is no such."""
    is_head_enough: bool
    """It means every command that begins with that word."""


class RuleTable:
    """The rules over commands, in the order in which they are looked at."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        ready = [_ready(rule) for rule in rules if rule.match]
        self.stopping = tuple(
            each for answer in ("deny", "ask") for each in ready if each.rule.answer == answer
        )
        allow = [each for each in ready if each.rule.answer == "allow"]
        self._headless = tuple(each for each in allow if each.head is None)
        self._by_head = {
            head: tuple(each for each in allow if each.head in {None, head})
            for head in {each.head for each in allow if each.head is not None}
        }

    def allowing(self, command: Command) -> tuple[Ready, ...]:
        """Return the rules that may allow a command; all others begin with another word."""
        words = command.words
        name = words[0].text if words and not words[0].is_open else ""
        return self._by_head.get(name, self._headless)


_tables: dict[int, RuleTable] = {}


def table_of(rules: tuple[Rule, ...]) -> RuleTable:
    """Return the table of these very rules; equal ones elsewhere have another."""
    table = _tables.get(id(rules))
    if table is None or table.rules is not rules:
        if len(_tables) >= MAX_TABLES:
            _tables.clear()
        # The table keeps the rules, so that no others can have their identity meanwhile.
        table = _tables[id(rules)] = RuleTable(rules)
    return table


def heads(commands: Sequence[Command]) -> Set[str] | None:
    """Return all that commands begin with, by path or bare name; `None` where that is not known."""
    found: set[str] = set()
    for command in commands:
        words = command.words
        if not words or words[0].is_open:
            return None
        name = words[0].text
        found.add(name)
        if "/" in name:
            found.add(name.rsplit("/", 1)[-1])
    return found


def _ready(rule: Rule) -> Ready:
    pattern = parse_pattern(rule.match)
    if not isinstance(pattern, WordPattern) or not pattern.words:
        return Ready(rule, pattern, None, is_head_enough=False)
    head, *more = pattern.words
    is_head_enough = bool(head) and not more and pattern.has_more
    return Ready(rule, pattern, head, is_head_enough)
