"""The rules over arguments and the `[[test]]`s of a profile: where they fit, and that they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deepd.config.document import Document
from deepd.config.problem import Problem, did_you_mean
from deepd.config.shape import ProfileFile, RuleTable, TestTable, ToolTable
from deepd.config.toml_positions import Path
from deepd.config.validation import dotted
from deepd.model.profile import CONSOLE_TOOLS, Profile, ProfileTest
from deepd.policy.decide import decide
from deepd.policy.pattern import PatternError, parse_pattern
from deepd.policy.place import lexical

_LISTS = ("allow", "ask", "deny")
_ARGUMENTS = {"execute": "command", "glob": "pattern"}


def policy_problems(shape: ProfileFile, document: Document) -> Iterator[Problem]:
    """Yield each rule that cannot be over its tool's arguments, and each test of no one call."""
    if isinstance(shape.interrupt_on, dict):
        for tool, entry in shape.interrupt_on.items():
            if isinstance(entry, ToolTable):
                yield from _rule_problems(tool, entry, document)
    for number, test in enumerate(shape.test):
        named = _tools(test)
        path = ("test", number)
        if len(named) != 1:
            message = "a test names one tool with its command or path"
            yield document.key_problem(path, message, 'such as execute = "ls -l"')
        elif test.tool in CONSOLE_TOOLS:
            hint = f'write {test.tool} = "…" with its command or path'
            yield document.value_problem((*path, "tool"), f"`{test.tool}` is deepd's", hint)


def read_tests(shape: ProfileFile, document: Document) -> tuple[ProfileTest, ...]:
    """Return the tests; of one that names no tool, or several, the problem is told elsewhere."""
    tests: list[ProfileTest] = []
    for number, test in enumerate(shape.test):
        for tool in _tools(test)[:1]:
            position = document.at(("test", number, tool))
            value = getattr(test, tool)
            if tool == "tool":
                tests.append(ProfileTest(value, (), test.expect, position))
            else:
                args = ((_ARGUMENTS.get(tool, "path"), value),)
                tests.append(ProfileTest(tool, args, test.expect, position))
    return tuple(tests)


def failed_tests(profile: Profile, document: Document) -> Iterator[Problem]:
    """Yield each test that does not hold, with what was decided instead."""
    for number, test in enumerate(profile.tests):
        args = test.call()
        # A test says where a path leads: no sandbox is there to be asked.
        resolved = lexical(args.get("path", "."), profile.work_dir)
        verdict = decide(profile, test.tool, args, resolved)
        if verdict.answer != test.expect:
            yield document.value_problem(
                ("test", number, "expect"),
                f"the test expects {test.expect}, and {verdict.answer} was decided",
                f"by {verdict}",
            )


def _rule_problems(tool: str, table: ToolTable, document: Document) -> Iterator[Problem]:
    for answer in _LISTS:
        path: Path = ("interrupt_on", tool, answer)
        for number, entry in enumerate(getattr(table, answer)):
            if problem := _rule_problem(tool, entry, (*path, number), document):
                yield problem


def _rule_problem(
    tool: str, entry: str | RuleTable, path: Path, document: Document
) -> Problem | None:
    rule = entry if isinstance(entry, RuleTable) else RuleTable.model_construct(match=entry)
    name = dotted(path)
    given = _given(document, path)
    if isinstance(given, dict) and given.keys() - {"match", "path", "reason"}:
        return None  # its keys are told of elsewhere
    if isinstance(given, dict) and ("match" in given) == ("path" in given):
        return document.value_problem(path, f"`{name}` needs either `match` or `path`")
    if rule.match is None and rule.path is None:
        return None
    if rule.match is not None and tool != "execute":
        hint = f'write {{path = "{rule.match}"}}' if tool in CONSOLE_TOOLS else ""
        return document.value_problem(path, f"`{name}`: patterns are over `execute` only", hint)
    if isinstance(entry, str):
        try:
            parse_pattern(entry)
        except PatternError as error:
            return document.value_problem(path, f"`{name}` {error}", error.hint)
    if rule.path is not None and (tool == "execute" or tool not in CONSOLE_TOOLS):
        near = did_you_mean(tool, CONSOLE_TOOLS)
        return document.value_problem(path, f"`{name}`: paths are over deepd's file tools", near)
    return None


def _given(document: Document, path: Path) -> object:
    """Return what the file itself says at a path."""
    value: Any = document.values
    for part in path:
        value = value[part]
    return value


def _tools(test: TestTable) -> list[str]:
    return [tool for tool in (*CONSOLE_TOOLS, "tool") if getattr(test, tool) is not None]
