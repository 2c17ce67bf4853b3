"""No command that runs anything outside of a rule is allowed by it: shells are asked, not read.

Each command of the corpus is really run by dash and by bash in a throw-away container, in which all
programs only tell that they ran. Whatever a rule allows must have run nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import pytest

from deepd.policy.decide import decide
from tests.policy.oracle.corpus import GENERATORS, RULES, corpus
from tests.policy.oracle.runner import Ran, run_all
from tests.policy.texts import over_commands

pytestmark = pytest.mark.docker

LEAST = 3000


@dataclass(frozen=True)
class Case:
    """One command and what it really did."""

    command: str
    generator: str
    ran: dict[str, Ran]

    def programs(self) -> Iterator[tuple[str, ...]]:
        """Yield all that any of the shells ran."""
        for ran in self.ran.values():
            yield from ran.programs


@cache
def cases() -> tuple[Case, ...]:
    commands = corpus()
    results = run_all(list(commands))
    return tuple(
        Case(command, generator, ran)
        for (command, generator), ran in zip(commands.items(), results, strict=True)
    )


def is_within(program: tuple[str, ...], rules: Sequence[str]) -> bool:
    """Return whether what ran is what one of the rules says; the oracle's own reading of them."""
    executed, *argv = program
    if not argv or executed != (argv[0] if "/" in argv[0] else f"/usr/bin/{argv[0]}"):
        return False
    return any(_means(rule, argv) for rule in rules)


def _means(rule: str, argv: Sequence[str]) -> bool:
    if rule.startswith("re:"):
        return re.fullmatch(rule[3:], " ".join(argv), re.DOTALL) is not None
    words = rule.split()
    if words[-1] == "*":
        words = words[:-1]
        argv = argv[: len(words)]
    return len(words) == len(argv) and all(
        wanted in ("?", word) for wanted, word in zip(words, argv, strict=True)
    )


def is_harmless(case: Case, rules: Sequence[str]) -> bool:
    """Return whether neither shell did more than the rules say."""
    programs = list(case.programs())
    return all(is_within(program, rules) for program in programs) and not any(
        ran.is_outside for ran in case.ran.values()
    )


@cache
def allowed() -> dict[tuple[str, ...], list[Case]]:
    """Return the cases that each rule allows alone, and those that all allow together."""
    chosen = [*((rule,) for rule in RULES), RULES]
    profiles = {rules: over_commands(allow=rules) for rules in chosen}
    found: dict[tuple[str, ...], list[Case]] = {rules: [] for rules in chosen}
    for case in cases():
        for rules, profile in profiles.items():
            if decide(profile, "execute", {"command": case.command}).answer == "allow":
                found[rules].append(case)
    return found


def escaped(rules: tuple[str, ...]) -> list[tuple[str, dict[str, Ran]]]:
    """Return what is allowed and did more than it may."""
    return [(case.command, case.ran) for case in allowed()[rules] if not is_harmless(case, rules)]


def test_the_corpus_has_enough_of_every_kind_and_both_shells_ran_it() -> None:
    kinds = Counter(case.generator for case in cases())
    assert sum(kinds.values()) >= LEAST
    assert set(kinds) == {generator.__name__ for generator in GENERATORS}
    by_name = {case.command: case for case in cases()}
    evil = ("/usr/bin/evil", "evil", "x")
    for command in ("evil x", "timeout 5 evil x", "sh -c 'evil x'"):
        assert all(evil in ran.programs for ran in by_name[command].ran.values()), command
    assert all(ran.is_outside for ran in by_name["ls > /out/x"].ran.values())
    assert sum(any(case.programs()) for case in cases()) > LEAST // 2


@pytest.mark.parametrize("rule", RULES)
def test_no_command_that_runs_anything_outside_a_rule_is_allowed(rule: str) -> None:
    assert escaped((rule,)) == []


def test_all_rules_together_allow_no_more_and_false_asks_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert escaped(RULES) == []
    passed = {case.command for case in allowed()[RULES]}
    harmless = [case for case in cases() if any(case.programs()) and is_harmless(case, RULES)]
    asked = Counter(case.generator for case in harmless if case.command not in passed)
    with capsys.disabled():
        kinds = ", ".join(f"{kind} {count}" for kind, count in asked.most_common())
        print(
            f"\n{len(cases())} commands: {len(passed)} allowed, {len(harmless)} harmless in both "
            f"shells; false asks {sum(asked.values())} ({kinds})"
        )
    plain = [case for case in harmless if case.generator == "plain"]
    assert sum(case.command in passed for case in plain) > 0.9 * len(plain)
