"""Programs that run another one: which command is behind `sudo`, `xargs`, `find -exec`, `sh -c`.

For `allow` the table must know every option, else what runs is not proven. For `deny` and `ask`
an unknown option makes every later word a possible beginning of the inner command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import NamedTuple

from deepd.policy.shell import SHELLS, Word, names

Words = tuple[Word, ...]

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_MAX_GUESSES = 16
_MORE = Word("…", is_open=True)


class Inner(NamedTuple):
    """What a command runs beside itself."""

    commands: tuple[Words, ...] = ()
    texts: tuple[str, ...] = ()
    """Texts that a shell runs."""
    hidden: bool = False
    """It runs something that is not known from its words."""
    reason: str = ""


NOTHING = Inner()
"""What a program runs that is no wrapper."""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """How the inner command is found behind a program's own options."""

    flags: str = ""
    """Its options without a value, and those that run nothing themselves."""
    valued: str = ""
    """Its options with a value."""
    operands: int = 0
    """Own words before the command, such as the seconds of `timeout`."""
    assigns: bool = False
    """`NAME=value` may come before the command."""
    unsets: str = ""
    """Options that take variables away from what it runs; `-u` and `--unset` name one."""
    texts: str = ""
    """Options of which the value is a text for a shell."""
    opens_shell: bool = False
    """Without a command it runs a shell."""
    more: bool = False
    """It adds words of its own, which nobody sees here."""


_NAMING = frozenset({"-u", "--unset"})
_SHELL_TEXT = "-c --command"
_WRAPPERS: dict[str, Wrapper] = {
    "builtin": Wrapper(),
    "busybox": Wrapper(),
    "catchsegv": Wrapper(),
    "chronic": Wrapper(),
    "chroot": Wrapper(operands=1, opens_shell=True),
    "chrt": Wrapper(flags="-f -r -o -b -i -R -v", operands=1),
    "command": Wrapper(flags="-p -v -V"),
    "coproc": Wrapper(),
    "doas": Wrapper(flags="-n", valued="-u", opens_shell=True),
    "eatmydata": Wrapper(),
    "env": Wrapper(
        flags="-0 --null",
        unsets="-i - --ignore-environment -u --unset",
        assigns=True,
        texts="-S --split-string",
    ),
    "exec": Wrapper(flags="-c -l", valued="-a"),
    "fakeroot": Wrapper(opens_shell=True),
    "flock": Wrapper(
        flags="-s -x -u -n -e -o -F", valued="-w -E --timeout", operands=1, texts=_SHELL_TEXT
    ),
    "ionice": Wrapper(flags="-t", valued="-c -n --class --classdata"),
    "ltrace": Wrapper(),
    "nice": Wrapper(valued="-n --adjustment"),
    "nohup": Wrapper(),
    "nsenter": Wrapper(opens_shell=True),
    "parallel": Wrapper(opens_shell=True, more=True),
    "proxychains": Wrapper(flags="-q"),
    "runuser": Wrapper(flags="- -l", valued="-u", texts=_SHELL_TEXT, opens_shell=True),
    "script": Wrapper(flags="-a -e -f -q", operands=1, texts=_SHELL_TEXT, opens_shell=True),
    "setarch": Wrapper(operands=1, opens_shell=True),
    "setpriv": Wrapper(flags="--no-new-privs --clear-groups", valued="--reuid --regid"),
    "setsid": Wrapper(flags="-c -f -w --ctty --fork --wait"),
    "stdbuf": Wrapper(valued="-i -o -e --input --output --error"),
    "strace": Wrapper(),
    "su": Wrapper(flags="- -l -m -p", operands=1, texts=_SHELL_TEXT, opens_shell=True),
    "sudo": Wrapper(
        flags="-A -b -E -H -k -n -P -S",
        valued="-u -g -h -p -T -U -r -t --user --group",
        assigns=True,
        opens_shell=True,
    ),
    "taskset": Wrapper(flags="-c -a", operands=1),
    "time": Wrapper(flags="-p -v -a"),
    "timeout": Wrapper(
        flags="--preserve-status --foreground -v --verbose",
        valued="-k --kill-after -s --signal",
        operands=1,
    ),
    "toybox": Wrapper(),
    "unbuffer": Wrapper(flags="-p"),
    "unshare": Wrapper(flags="-m -u -i -n -p -U -f -r", opens_shell=True),
    "watch": Wrapper(flags="-b -c -d -e -g -p -t -x", valued="-n --interval"),
    "xargs": Wrapper(
        flags="-0 -r -t -p -x -o --null --no-run-if-empty --verbose --interactive --exit",
        valued="-a -d -E -I -L -n -P -s --arg-file --delimiter --max-args --max-procs --max-chars",
        more=True,
    ),
}

_EXECS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_TEXTS_OF = {"eval": 0, "trap": 1}
"""Builtins of which the words are a text for the shell: all of them, or the first."""


def unwrap(words: Words) -> Inner:
    """Return what a simple command runs beside itself."""
    if not words or words[0].is_open:
        return Inner(hidden=True, reason="what it runs comes from an expansion")
    name = words[0].text.rsplit("/", 1)[-1]
    if name not in _RUNNERS:  # as most of all are
        return NOTHING
    if (special := _SPECIAL.get(name)) is not None:
        return special(words)
    return _shell(name, words) if name in SHELLS else _behind(name, _WRAPPERS[name], words[1:])


def _behind(name: str, wrapper: Wrapper, words: Words) -> Inner:
    """Walk over a wrapper's own options to the command behind them."""
    at, operands = 0, 0
    while at < len(words):
        text = words[at].text
        step = "open" if words[at].is_open else _step(wrapper, text, operands)
        if step in {"open", "unknown"}:
            return _unknown(name, words[at:])
        if step == "text":
            joined = text.startswith("--") and "=" in text
            given = (Word(text.partition("=")[2]),) if joined else words[at + 1 : at + 2]
            return _text_of(name, given, words[at + (1 if joined else 2) :])
        if step in {"assignment", "unset"}:
            return _assigned(name, words[at + 1 + (text in _NAMING) :])
        if step == "command":
            break
        operands += step == "operand"
        at += 2 if step == "valued" else 1
        if step == "end":
            break
    behind = words[at + wrapper.operands - operands :]
    if not behind:
        reason = f"`{name}` without a command runs a shell"
        return Inner(hidden=True, reason=reason) if wrapper.opens_shell else Inner()
    more = (_MORE,) if wrapper.more else ()
    return Inner(commands=((*behind, *more),))


def _step(wrapper: Wrapper, text: str, operands: int) -> str:
    """Return what a wrapper takes one of its words for."""
    option = text.partition("=")[0] if text.startswith("--") else text
    if text == "--":
        return "end"
    if option in names(wrapper.texts):
        return "text"
    unsets = names(wrapper.unsets)
    if option in unsets or _is_joined(text, _NAMING & unsets):
        return "unset"
    if operands and operands == wrapper.operands and not wrapper.texts:
        return "command"  # what follows the last operand, whatever it looks like
    valued = names(wrapper.valued)
    if text in names(wrapper.flags) or (option != text and option in valued):
        return "flag"
    if text in valued:
        return "valued"
    if _is_joined(text, valued):
        return "flag"
    if text.startswith("-") and len(text) > 1:
        return "unknown"
    if wrapper.assigns and _ASSIGNMENT.match(text):
        return "assignment"
    return "operand" if operands < wrapper.operands else "command"


def _is_joined(text: str, valued: Set[str]) -> bool:
    """Return whether a word is a short option with its value in it: `-n5`."""
    return len(text) > 2 and not text.startswith("--") and text[:2] in valued


def _text_of(name: str, given: Words, rest: Words) -> Inner:
    reason = f"`{name}` runs a text as a command"
    commands = (rest,) if rest else ()
    texts = tuple(word.text for word in given)
    is_open = any(word.is_open for word in given)
    return Inner(commands, texts, hidden=is_open or not given, reason=reason)


def _assigned(name: str, rest: Words) -> Inner:
    """Go on behind `NAME=value` or `-i`, which decide which program is found and what it does."""
    inner = _behind(name, _WRAPPERS[name], rest)
    reason = f"`{name}` changes the variables of what it runs"
    return Inner(inner.commands, inner.texts, hidden=True, reason=reason)


def _unknown(name: str, words: Words) -> Inner:
    """Return every command that may be meant, where the options are not known."""
    guesses = tuple(words[at:] for at in range(min(len(words), _MAX_GUESSES)))
    return Inner(guesses, hidden=True, reason=f"`{name}` has an option that is not known here")


def _shell(name: str, words: Words) -> Inner:
    """Return what a shell is told to run; what it reads from a file or its input is not seen."""
    for at, word in enumerate(words[1:], 1):
        text = word.text
        if word.is_open:
            return Inner(hidden=True, reason=f"what `{name}` runs comes from an expansion")
        if text.startswith(("-", "+")) and len(text) > 1:
            if not text.startswith("--") and "c" in text[1:]:
                return _shell_text(name, words[at + 1 :])
            continue
        if text in {"-", "pipefail", "errexit", "nounset", "xtrace"}:
            continue
        return Inner()
    return Inner(hidden=True, reason=f"`{name}` runs what it reads from its input")


def _shell_text(name: str, words: Words) -> Inner:
    reason = f"`{name} -c` runs a text as a command"
    for word in words:
        if word.is_open or not word.text.startswith(("-", "+")):
            return Inner(texts=(word.text,), hidden=word.is_open, reason=reason)
    return Inner(hidden=True, reason=reason)


def _find(words: Words) -> Inner:
    """Return what stands between `-exec` and `;` or `+`."""
    commands: list[Words] = []
    begin = 0
    for at, word in enumerate(words):
        if begin and (word.text == ";" or (word.text == "+" and words[at - 1].text == "{}")):
            commands.append(_filled(words[begin:at]))
            begin = 0
        elif not begin and word.text in _EXECS:
            begin = at + 1
    if begin:
        commands.append(_filled(words[begin:]))
    if any(word.is_open for word in words) and not commands:
        # An expansion can bring an `-exec` with it, or a `-delete`.
        return Inner(hidden=True, reason="what `find` does comes from an expansion")
    return Inner(tuple(commands))


def _filled(words: Words) -> Words:
    return tuple(Word(word.text, is_open=True) if "{}" in word.text else word for word in words)


def _xargs(words: Words) -> Inner:
    """Return what `xargs` runs; where it puts its input in place of `{}`, that is not known."""
    replaced = [at for at, word in enumerate(words) if word.text.startswith("-I")]
    signs = [
        words[at].text[2:] or (words[at + 1 : at + 2] or (Word(""),))[0].text for at in replaced
    ]
    inner = _behind("xargs", _WRAPPERS["xargs"], words[1:])
    if not (inner.commands or inner.texts or inner.hidden):
        return Inner(commands=((Word("echo"), _MORE),))
    if any(sign != "{}" for sign in signs):
        reason = "what `xargs` replaces in its command is not `{}`"
        return Inner(inner.commands, hidden=True, reason=reason)
    return Inner(tuple(map(_filled, inner.commands)), (), inner.hidden, inner.reason)


def _builtin_text(words: Words) -> Inner:
    """Return the text that `eval` or `trap` runs."""
    count = _TEXTS_OF[words[0].text.rsplit("/", 1)[-1]]
    chosen = [word for word in words[1:] if word.text != "--"]
    chosen = chosen[:count] if count else chosen
    text = " ".join(word.text for word in chosen)
    reason = f"`{words[0].text}` runs a text as a command"
    return Inner(texts=(text,), hidden=any(word.is_open for word in chosen), reason=reason)


def _by_text(words: Words) -> Inner:
    """Take all words behind the options as one text for a shell: `watch 'rm x'`, `parallel`."""
    name = words[0].text.rsplit("/", 1)[-1]
    inner = _behind(name, _WRAPPERS[name], words[1:])
    texts = tuple(" ".join(word.text for word in command) for command in inner.commands[:1])
    return Inner(inner.commands, texts, inner.hidden, f"`{name}` runs a text as a command")


_SPECIAL: dict[str, Callable[[Words], Inner]] = {
    "find": _find,
    "eval": _builtin_text,
    "trap": _builtin_text,
    "watch": _by_text,
    "parallel": _by_text,
    "xargs": _xargs,
}
_RUNNERS = SHELLS | _SPECIAL.keys() | _WRAPPERS.keys()
"""All that run something beside themselves."""
