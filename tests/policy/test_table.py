"""The table of an entry's rules leaves none out that could decide."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deepd.model.profile import Answer, Rule
from deepd.policy.pattern import WordPattern, fit_anywhere, parse_pattern
from deepd.policy.shell import Command, Span, Word
from deepd.policy.table import MAX_TABLES, RuleTable, heads, table_of

NAMES = ("ls", "git", "/bin/ls", "sub/git", "", "*", "rm")
PATTERNS = ("ls *", "ls", "git ?", "? x", "*", "? *", "/bin/ls *", "'' *", "'*' x", "rm x", "re:.*")
ANSWERS: tuple[Answer, ...] = ("allow", "ask", "deny")
RULES = st.lists(
    st.builds(Rule, st.sampled_from(ANSWERS), st.sampled_from(PATTERNS)), max_size=8
).map(tuple)
WORDS = st.lists(st.builds(Word, st.sampled_from((*NAMES, "x")), st.booleans()), max_size=3)
COMMANDS = st.lists(WORDS.map(lambda words: Command(tuple(words), Span(0, 0))), max_size=3)


@given(RULES, COMMANDS)
def test_every_rule_that_may_allow_a_command_is_looked_at_in_its_order(
    rules: tuple[Rule, ...], commands: list[Command]
) -> None:
    table = RuleTable(rules)
    for command in commands:
        tried = [each.rule for each in table.allowing(command)]
        assert tried == [rule for rule in rules if any(rule is one for one in tried)]
        for rule in rules:
            if rule.answer == "allow" and not any(rule is one for one in tried):
                pattern = parse_pattern(rule.match)
                assert isinstance(pattern, WordPattern)
                assert pattern.fit(command.words) != "yes"


@given(RULES, COMMANDS)
def test_a_rule_with_a_first_word_that_no_command_begins_with_cannot_stop_any(
    rules: tuple[Rule, ...], commands: list[Command]
) -> None:
    known = heads(commands)
    stopping = RuleTable(rules).stopping
    in_order = [rule for answer in ("deny", "ask") for rule in rules if rule.answer == answer]
    assert [each.rule for each in stopping] == in_order
    for each in stopping:
        if known is not None and each.head is not None and each.head not in known:
            assert isinstance(each.pattern, WordPattern)
            assert all(fit_anywhere(each.pattern, command) == "no" for command in commands)


@given(RULES, COMMANDS)
def test_a_rule_that_asks_only_for_a_first_word_means_every_command_that_it_is_tried_for(
    rules: tuple[Rule, ...], commands: list[Command]
) -> None:
    table = RuleTable(rules)
    for command in commands:
        for each in table.allowing(command):
            if each.is_head_enough:
                assert isinstance(each.pattern, WordPattern)
                assert each.pattern.fit(command.words) == "yes"


def test_a_table_is_made_once_for_the_very_same_rules_and_never_for_others() -> None:
    rules = (Rule("allow", "ls *"),)
    equal = (Rule("allow", "ls *"),)
    assert table_of(rules) is table_of(rules)
    assert table_of(equal) is not table_of(rules)
    for number in range(2 * MAX_TABLES):
        made = (Rule("deny", f"rm {number}"),)
        assert table_of(made).rules is made
