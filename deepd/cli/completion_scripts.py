"""The completion scripts of bash, zsh and fish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepd.cli.completion import Option, Verb

_BASH = """\
_deepd() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} verb= word words i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        if [[ $word == --socket ]]; then
            [[ ${{COMP_WORDS[i + 1]}} == = ]] && ((i++))
            ((++i < COMP_CWORD)) && continue
            return
        fi
        if [[ $word == -- ]]; then compopt -o default 2>/dev/null; return; fi
        if [[ -z $verb && $word != -* ]]; then verb=$word; fi
    done
    case $verb in
{cases}
    esac
}}
complete -o default -F _deepd deepd"""

_ZSH = """\
#compdef deepd
_deepd() {{
    local -a verbs
    local verb= i
    verbs=(
{verbs}
    )
    for ((i = 2; i < CURRENT; i++)); do
        case $words[i] in
            --socket) if ((++i == CURRENT)); then _files; return; fi ;;
            --) _files; return ;;
            -*) ;;
            *)
                [[ -n $verb ]] && continue
                verb=$words[i]
                shift $((i - 1)) words
                ((CURRENT -= i - 1, i = 1))
                ;;
        esac
    done
    if [[ -z $verb ]]; then
        if [[ $words[CURRENT] == --socket=* ]]; then compset -P '*='; _files; return; fi
        if [[ $words[CURRENT] == -* ]]; then compadd -- --socket --version --help; return; fi
        _describe 'command' verbs
        return
    fi
    case $verb in
{cases}
        *) _files ;;
    esac
}}
compdef _deepd deepd"""

_FISH = """\
function __deepd_verb
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --socket
                set -e words[1]
            case '-*'
            case '*'
                echo $words[1]
                return
        end
        set -e words[1]
    end
end
function __deepd_is
    set -l verb (__deepd_verb)
    test "$verb" = "$argv[1]"
    and not contains -- -- (commandline -opc)
end
complete -c deepd -n '__deepd_is ""' -l socket -r -F
complete -c deepd -f -n '__deepd_is ""' -l version"""


def render_bash(verbs: Sequence[Verb]) -> str:
    """Return a script for bash, to be evaluated."""
    names = " ".join(verb.name for verb in verbs)
    cases = [f"        '') COMPREPLY=($(compgen -W '{names} --socket --version' -- \"$cur\")) ;;"]
    for verb in verbs:
        flags = " ".join(flag for option in verb.options for flag in option.flags)
        words = " ".join(verb.choices)
        if verb.source:
            words = f"{words} $({verb.source} 2>/dev/null)".strip()
        cases += [
            f"        {verb.name})",
            f"            if [[ $cur == -* ]]; then words='{flags}'; else words=\"{words}\"; fi",
            '            COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;',
        ]
    return _BASH.format(cases="\n".join(cases))


def render_zsh(verbs: Sequence[Verb]) -> str:
    """Return a script for zsh, to be evaluated or put into `fpath` as `_deepd`."""
    table = "\n".join(f"        {_quoted(f'{verb.name}:{verb.text}')}" for verb in verbs)
    cases = []
    for verb in verbs:
        specs = [_zsh_flag(flag, option) for option in verb.options for flag in option.flags]
        if verb.source:
            words = f"{' '.join(verb.choices)} $({verb.source} 2>/dev/null)".strip()
            specs.append(f'"*:name:({words})"')
        elif verb.choices:
            specs.append(_quoted(f"*:what:({' '.join(verb.choices)})"))
        else:
            specs.append("'*:file:_files'")
        cases.append(f"        {verb.name}) _arguments {' '.join(specs)} ;;")
    return _ZSH.format(verbs=table, cases="\n".join(cases))


def render_fish(verbs: Sequence[Verb]) -> str:
    """Return a script for fish."""
    lines = [_FISH]
    for verb in verbs:
        lines.append(
            f"complete -c deepd -f -n '__deepd_is \"\"' -a {verb.name} -d {_quoted(verb.text)}"
        )
        seen = f"complete -c deepd -n '__deepd_is {verb.name}'"
        for option in verb.options:
            flags = " ".join(_fish_flag(flag) for flag in option.flags)
            lines.append(f"{seen} {flags} -d {_quoted(option.text)}" + " -r" * option.takes_value)
        if verb.source:
            lines.append(f"{seen} -f -a {_quoted(f'({verb.source} 2>/dev/null)')}")
        if verb.choices:
            lines.append(f"{seen} -f -a {_quoted(' '.join(verb.choices))}")
    return "\n".join(lines)


def _zsh_flag(flag: str, option: Option) -> str:
    joined = "=" if option.takes_value and flag.startswith("--") else ""  # the value may follow it
    value = ":value:_files" if option.takes_value else ""
    return _quoted(f"{flag}{joined}[{_plain(option.text)}]{value}")


def _fish_flag(flag: str) -> str:
    return f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _plain(text: str) -> str:
    return text.replace("[", "(").replace("]", ")").replace(":", ",")
