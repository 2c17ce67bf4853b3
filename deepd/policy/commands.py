"""Rules over commands: which of them decides about an `execute`, and by which part of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deepd.model.profile import Answer, Profile, Rule
from deepd.policy.pattern import Expression, Fit, Pattern, WordPattern, fit_anywhere
from deepd.policy.place import lexical, relative
from deepd.policy.reading import Reading, read_command, read_words
from deepd.policy.shell import Command, Doubt, Redirection, Span, quoted, to_bytes, to_text
from deepd.policy.table import RuleTable, heads, table_of

FileAnswer = Callable[[str, str], Answer]
"""What the profile says to a file tool and a path."""

_ALWAYS_OPEN = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin"})
_KNOWN_SHELLS = frozenset({"auto", "sh", "bash", "dash", "ash"})


class Finding(NamedTuple):
    """What the rules say to a command; without an answer they leave it to the tool's default."""

    answer: Answer | None
    rule: Rule | None = None
    part: Span | None = None
    """The part of the command that decided."""
    detail: str = ""
    can_be_allowed: bool = False
    """A rule that allows the part would allow it."""
    is_unsure: bool = False
    """It is asked only because a rule might stop it: where the default denies, that counts."""


def read(args: Mapping[str, Any]) -> Reading:
    """Return the reading of an `execute`'s arguments, whatever they are."""
    argv = args.get("argv")
    if isinstance(argv, list | tuple):
        return read_words(tuple(map(str, argv)))
    return read_command(str(args.get("command", "")))


def judge(
    profile: Profile, rules: tuple[Rule, ...], args: Mapping[str, Any], file_answer: FileAnswer
) -> Finding:
    """Return what the rules of one entry say to an `execute`; deny over ask over allow."""
    table = table_of(rules)
    reading = read(args)
    stopped = _stopped(table, reading)
    if stopped is not None:
        return stopped
    doubt = _call_doubt(profile, args) or reading.doubt
    if doubt is None:
        doubt = _redirection_doubt(profile, reading, args, file_answer)
    if doubt is not None:
        # What cannot be seen may be what a rule stops.
        answer: Answer | None = "ask" if table.stopping else None
        return Finding(answer, None, doubt.span, doubt.reason, is_unsure=True)
    return _allowed(table, reading, args)


def _stopped(table: RuleTable, reading: Reading) -> Finding | None:
    """Return what the first rule says that stops a part; else the first that might."""
    unsure: Finding | None = None
    known = heads(reading.commands) if table.stopping else None
    for each in table.stopping:
        if known is not None and each.head is not None and each.head not in known:
            continue
        found, part = _fits(each.pattern, reading)
        if found == "yes":
            return Finding(each.rule.answer, each.rule, part)
        if found == "maybe" and unsure is None:
            detail = "an expansion may make it what this rule means"
            unsure = Finding("ask", each.rule, part, detail, is_unsure=True)
    return unsure


def _allowed(table: RuleTable, reading: Reading, args: Mapping[str, Any]) -> Finding:
    """Return `allow` if each proven command has a rule that allows it."""
    by: Rule | None = None
    for command in reading.proven:
        for each in table.allowing(command):
            if each.is_head_enough or _allows(each.pattern, command, reading, args):
                by = by or each.rule
                break
        else:
            detail = f"no rule allows `{command}`"
            return Finding(None, None, command.span, detail, can_be_allowed=True)
    if by is None:
        return Finding(None)
    return Finding("allow", by, reading.proven[0].span)


def _allows(pattern: Pattern, command: Command, reading: Reading, args: Mapping[str, Any]) -> bool:
    if isinstance(pattern, WordPattern):
        return pattern.fit(command.words) == "yes"
    # One command at a time, so that `git .*` allows no more than git.
    if pattern.is_all(_written(command, reading, by_shell="argv" not in args)):
        return True
    # A redirection in what is written has an answer of its own, so the words alone count too.
    is_known = not any(word.is_open for word in command.words)
    return is_known and pattern.is_all(" ".join(quoted(word.text) for word in command.words))


def _written(command: Command, reading: Reading, *, by_shell: bool) -> str:
    """Return a simple command as it is written; of what a wrapper runs, as it could be."""
    if by_shell and not command.is_inner:
        source = to_bytes(reading.texts[0])
        return to_text(source[command.span.start : command.span.end])
    return " ".join(word.text if word.is_open else quoted(word.text) for word in command.words)


def _fits(pattern: Pattern, reading: Reading) -> tuple[Fit, Span | None]:
    """Return whether a pattern means any part of a command, and which."""
    if isinstance(pattern, Expression):
        if found := pattern.find(reading.texts[0]):
            return "yes", Span(*found)
        if any(pattern.find(text) for text in reading.texts[1:]):
            return "yes", None
        for command in reading.commands:
            if pattern.find(str(command)):
                return "yes", command.span
        return "no", None
    best: tuple[Fit, Span | None] = ("no", None)
    for command in reading.commands:
        fit = fit_anywhere(pattern, command)
        if fit == "yes":
            return fit, command.span
        if fit == "maybe" and best[0] == "no":
            best = fit, command.span
    return best


def _call_doubt(profile: Profile, args: Mapping[str, Any]) -> Doubt | None:
    """Return what beside the command itself decides what it does."""
    nowhere = Span(0, 0)
    if args.get("env"):
        return Doubt("the call sets variables, which decide what programs do", nowhere)
    cwd = args.get("cwd")
    if cwd and relative(lexical(str(cwd), profile.work_dir), profile.work_dir) is None:
        return Doubt("it runs outside of the work folder", nowhere)
    if "argv" not in args and profile.shell.rsplit("/", 1)[-1] not in _KNOWN_SHELLS:
        return Doubt(f"the shell {profile.shell} may read it in another way", nowhere)
    return None


def _redirection_doubt(
    profile: Profile, reading: Reading, args: Mapping[str, Any], file_answer: FileAnswer
) -> Doubt | None:
    """Return the first file that a redirection may not open unasked, or a program of unknown place.

    A redirection is what a file tool would do, and the profile answers to it as to that one.
    """
    placed = [command for command in reading.proven if "/" in command.words[0].text]
    if not placed and not reading.redirections:
        return None
    cwd = lexical(str(args.get("cwd") or "."), profile.work_dir)
    elsewhere = reading.moves or cwd != profile.work_dir
    for command in placed:
        if elsewhere and not command.name.startswith("/"):
            return Doubt("its program is named from another folder", command.span)
    for redirection in reading.redirections:
        if reason := _closed(redirection, profile, cwd, reading, file_answer):
            return Doubt(reason, redirection.span)
    return None


def _closed(
    redirection: Redirection,
    profile: Profile,
    cwd: str,
    reading: Reading,
    file_answer: FileAnswer,
) -> str:
    path = redirection.path
    if path in _ALWAYS_OPEN:
        return ""
    if reading.moves and not path.startswith("/"):
        return "it redirects in a folder that is not known after `cd`"
    place = lexical(path, cwd)
    if ".." in path.split("/") or relative(place, profile.work_dir) is None:
        return "it redirects outside of the work folder"
    tool = "write_file" if redirection.writes else "read_file"
    answer = file_answer(tool, place)
    return "" if answer == "allow" else f"it redirects, and {tool} is {answer} there"
