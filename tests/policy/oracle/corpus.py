"""Commands that try to run `evil`, `rm` or another program than the rules allow; and harmless ones.

Every generator takes a seeded source of chance, so that the corpus is the same in each run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

SEED = 20
RULES = (
    "ls *",
    "cat ?",
    "echo *",
    "cd *",
    "git status",
    "git diff *",
    "wc *",
    "pytest -x",
    "python -m pytest *",
    "timeout *",
    "xargs *",
    "find *",
    "env *",
    "./tool *",
    "re:git (log|show)( [a-z0-9./-]+)*",
    "re:grep [^;]*",
)
"""The rules that are tried one by one, and all together."""

GOOD = (
    "ls -l",
    "ls a b.py",
    "cat a",
    "echo hello world",
    "git status",
    "git diff --stat HEAD",
    "wc -l a",
    "pytest -x",
    "python -m pytest -q",
    "git log -n 3",
    "grep -n x a",
    "cd sub",
    "./tool run",
    "timeout 5 ls",
    "find . -name a",
    "xargs ls",
)
BAD = (
    "evil x",
    "rm -r a",
    "git push",
    "curl z",
    "python -c 1",
    "sh -c evil",
    "cat a b",
    "/usr/bin/ls",
    "./ls",
    "sub/tool",
    "pytest",
)
OPERATORS = (
    "; ",
    " && ",
    " || ",
    " | ",
    " & ",
    "\n",
    " |& ",
    ";;",
    ";\n",
    "&&\n",
    "\n\n",
    " ; : ; ",
)
BLANKS = ("\t", "\\\n", "\r", "\r\n", "\x0b", "\x0c", "\u00a0", "\u2003", "\u200b", "  ", "\x1f")

Generator = Callable[[random.Random], Iterator[str]]


def plain(_: random.Random) -> Iterator[str]:
    """What people do all day."""
    yield from GOOD
    yield from BAD
    yield from (f"{one} 2>&1 | {other}" for one in GOOD for other in ("wc -l", "cat -", "ls"))
    yield from (f"{one} && {other}" for one in GOOD for other in GOOD)
    yield from (f"! {one}" for one in GOOD)
    yield from (f"{one} > out.txt 2> err.txt < a" for one in GOOD)


def chains(chance: random.Random) -> Iterator[str]:
    """One command behind another, by every operator, with comments and blanks around."""
    for operator in OPERATORS:
        for bad in BAD:
            good = chance.choice(GOOD)
            yield f"{good}{operator}{bad}"
            yield f"{bad}{operator}{good}"
    for good in GOOD:
        yield f"{good} # {chance.choice(BAD)}"
        yield f"{good} #\nevil x"
        yield f"{good}#; evil x"
        yield f"{good} # x \\\nevil x"
        yield f"# {good}\nevil x"
        yield f"{good};#\revil"
        yield f"{good} '#' ; evil"


def quoting(chance: random.Random) -> Iterator[str]:
    """Words in every way to write them, and operators that quotes hide or do not."""
    for _ in range(260):
        words = chance.choice((*GOOD, *BAD)).split()
        yield " ".join(quoted(word, chance) for word in words)
    for quote in ("'", '"', "$'", '$"', "\\'", '\\"', "`", "''", '""'):
        for inner in ("; evil x", "\nevil x\n", " && evil", "$(evil x)", "`evil`", "\\'; evil '"):
            yield f"ls {quote}{inner}{quote[-1]}"
            yield f"ls {quote}a{quote[-1]}{inner}"
            yield f"ls {quote}{inner}"
    yield from (f"ls $'\\{escape}; evil x'" for escape in ("'", "x27", "047", "n", "c;", "u0027"))
    yield 'ls "a\\"; evil x; "'
    yield "ls 'a\\'; evil x; '"
    yield 'ls "$(echo "; evil")"'


def quoted(word: str, chance: random.Random) -> str:
    """Return a word in some other spelling."""
    match chance.randrange(7):
        case 0:
            return f"'{word}'"
        case 1:
            return f'"{word}"'
        case 2:
            return "".join(f"\\{char}" for char in word)
        case 3:
            at = chance.randrange(len(word))
            return f"{word[:at]}''{word[at:]}"
        case 4:
            at = chance.randrange(len(word))
            return f'{word[:at]}"{word[at:]}"'
        case 5:
            return f"$'{word}'"
        case _:
            return word


def expansions(_: random.Random) -> Iterator[str]:
    """Variables, `IFS`, braces, patterns and tildes, in every place of a command."""
    firsts = (
        "$x",
        "${x}",
        '"$x"',
        "$x$y",
        "ev''il",
        "ev${none}il",
        "{evil,x}",
        "ev?l",
        "/usr/bin/ev*l",
        "[e]vil",
        "e{v,}il",
        "~/../usr/bin/evil",
        "$0",
        "$_",
        "${x:0:2}il",
        "${!x}",
        "$'evil'",
        "evil${IFS}x",
        "evil$IFS",
        "ls$IFS-l",
        "ls${IFS};evil",
        "l{s,}",
        "l\\s",
        "{ls,-l}",
        "{ls,evil}",
        "l[s]",
        "l?",
        "./to[o]l",
        "$(echo evil)",
        "`echo evil`",
        "$((1))",
        "$[1]",
        "$-",
        "$$",
        "$!",
        "$#",
        "$@",
        "$*",
        "$?",
        "$1",
        "\\evil",
        "@evil",
        "+evil",
        "=evil",
        "%evil",
    )
    for first in firsts:
        yield f"{first} x"
        yield f"ls; {first} x"
        yield f"ls {first}"
        yield f"timeout 5 {first}"
        yield f"env {first}"
        yield f"echo a | xargs {first}"
    for text in ("${x@P}", "${y@P}", "${x:=evil}", "${x/e/f}", "${x^^}", "${#x}", "${x%l}", "$y"):
        yield f"ls {text}"
        yield f'ls "{text}"'
        yield f"{text}"
    for change in (
        "IFS=/;",
        "IFS=s;",
        "export IFS=l;",
        "IFS=v eval",
        "x='ls; evil';",
        "set -- evil;",
    ):
        yield f"{change} ls"
        yield f"{change} $x"
        yield f"{change} l$1s"
    yield from ("ls {a,b}", "ls {a..c}", "ls *", "ls *.py", "ls ~", "ls ?", "ls [ab]", "cat {a,b}")
    yield from (
        "cat *",
        "cat $x",
        'cat "$x"',
        "cat {a,}",
        "cat ''",
        "pytest -{x,y}",
        "git {diff,push}",
    )
    yield from ("git diff {a,;evil}", "ls {a;evil}", "git $x", "git status{,}", "pytest -x $none")


def assignments(_: random.Random) -> Iterator[str]:
    """Variables that decide what runs."""
    for name in (
        "PATH",
        "LS",
        "IFS",
        "BASH_ENV",
        "ENV",
        "PS4",
        "PROMPT_COMMAND",
        "x",
        "LD_PRELOAD",
    ):
        for value in (".", "./sub:/usr/bin", "evil", "$(evil x)", "`evil`", "'evil x'", "a;evil"):
            yield f"{name}={value} ls"
            yield f"{name}={value}; ls; $LS"
    for builtin in (
        "export",
        "declare -x",
        "readonly",
        "typeset",
        "local",
        "unset",
        "read",
        "set -a;",
    ):
        yield f"{builtin} PATH=. ; ls"
        yield f"{builtin} 'x[$(evil)]=1'"
    yield from (
        "ls A=1",
        "env A=1 ls",
        "env PATH=. ls",
        "env -u PATH ls",
        "env -i ls",
        "A=1",
        "A+=1 ls",
    )
    yield from (
        "a[$(evil)]=1",
        "a=(evil $(evil))",
        "a[0]=x ls",
        "printf -v 'a[$(evil)]' x",
        "PATH= ls",
    )
    yield from (
        "test -v 'a[$(evil)]'",
        "[ -v 'a[$(evil)]' ]",
        "let 'a[$(evil)]'",
        "unset 'a[$(evil)]'",
    )
    yield from ("PATH=.:$PATH\nls", "hash -p ./ls ls; ls", "enable -n echo; echo", "set -- ; ls")


def definitions(_: random.Random) -> Iterator[str]:
    """Aliases and functions that take a harmless name."""
    for name in ("ls", "git", "cat", "cd", "echo", "x", ":", "[", "true", "wc"):
        yield f"alias {name}=evil\n{name} a"
        yield f"shopt -s expand_aliases; alias {name}=evil\n{name} a"
        yield f"{name}() {{ evil; }}; {name} a"
        yield f"{name} () ( evil )\n{name} a"
        yield f"function {name} {{ evil; }}; {name} a"
        yield f"{name}() evil a; {name}"
        yield f"{name}(){{ evil;}} ; ls"
    yield from (
        "unalias -a; ls",
        "command_not_found_handle() { evil; }; nothing",
        "trap evil EXIT; ls",
    )
    yield from ("trap 'evil x' 0", "trap evil DEBUG; ls", "eval evil", "eval ls", "eval 'ls; evil'")
    yield from (
        ". ./evil.sh",
        "source evil.sh",
        ". /dev/stdin",
        "exec evil",
        "exec ls",
        "command evil",
    )
    yield from (
        "builtin eval evil",
        "command eval evil",
        "\\eval evil",
        "complete -C evil x",
        "coproc evil",
    )
    yield from (
        "enable -f x y",
        "mapfile -C evil -c 1 < a",
        "bind -x x",
        "fc -e evil",
        "time evil x",
    )


def here_documents(_: random.Random) -> Iterator[str]:
    """Texts in a command, with expansions or a false end in them."""
    for mark, end in (
        ("E", "E"),
        ("'E'", "E"),
        ('"E"', "E"),
        ("\\E", "E"),
        ("-E", "\tE"),
        ("E F", "E"),
    ):
        for body in ("$(evil x)", "`evil`", "plain", "E\nevil x", " E\nevil x", "$x", "\\$(evil)"):
            yield f"cat - <<{mark}\n{body}\n{end}"
            yield f"ls <<{mark} ; evil\n{body}\n{end}\nls"
            yield f"sh <<{mark}\nevil\n{body}\n{end}"
    for text in ("x", "$(evil)", '"$(evil)"', "'$(evil)'", "`evil`"):
        yield f"cat - <<< {text}"
        yield f"ls <<<{text}"
    yield from (
        "cat <<A <<B\na\nA\nevil\nB",
        "ls <<E",
        "ls <<E\n",
        "ls <<''\nevil\n\nevil",
        "ls << E;evil\nE",
    )


def substitutions(_: random.Random) -> Iterator[str]:
    """Commands inside of words, of every kind and at every place."""
    forms = (
        "$(evil x)",
        "`evil x`",
        '"$(evil x)"',
        '"`evil x`"',
        "$( evil x )",
        "$(\nevil\n)",
        "<(evil x)",
        ">(evil x)",
        "$((a[$(evil)]))",
        "$[a[$(evil)]]",
        "${x:-$(evil)}",
        "${none:-`evil`}",
        "$(<a)",
        "${none:=$(evil)}",
        "${x:+$(evil)}",
        "${x//$(evil)/}",
        "$(: ; evil)",
        "a$(evil)b",
        "$(ls)",
        "$(eval evil)",
        "$(case x in x) evil;; esac)",
        "$(# )\nevil\n)",
        "'a'$(evil)",
        "\\\\$(evil)",
        "\\$(evil)",
        "\\`evil`",
        "$(( $(evil) ))",
        "((evil))",
        "$((evil))",
        "${a[$(evil)]}",
        "=(evil)",
        "${ evil; }",
        "${|evil;}",
        "$'$(evil)'",
        '$"$(evil)"',
        "'$(evil)'",
        "`echo \\`evil\\``",
    )
    for form in forms:
        yield f"ls {form}"
        yield f"{form}"
        yield f"ls > {form}"
        yield f"echo a{form}"
        yield f"git diff -- {form} a"
        yield f"ls; {form} ls"


def redirections(_: random.Random) -> Iterator[str]:
    """Files that a command opens, near and far."""
    signs = (
        ">",
        ">>",
        ">|",
        "<>",
        "2>",
        "&>",
        "&>>",
        ">&",
        "1>",
        "3>",
        "{fd}>",
        "<",
        "0<",
        "<&",
        "> >",
    )
    for sign in signs:
        for place in (
            "out.txt",
            "/out/x",
            "../x",
            "sub/../../x",
            "~/x",
            "$HOME/x",
            "/dev/null",
            "&1",
            "-",
        ):
            yield f"ls {sign} {place}"
            yield f"ls {sign}{place}"
    yield from (f"cd {place} && ls > x" for place in ("/out", "..", "sub", "~", "$HOME", "-", ""))
    yield from (
        "> /out/x ls",
        ">/out/x",
        "ls > a > /out/x",
        "ls >/out/x;ls",
        "ls>/out/x",
        "ls 2>/out/x",
    )
    yield from (
        "cd sub; ./tool",
        "cd sub && ./ls",
        "cd / && ls",
        "cd -P /out\nls > y",
        "cd sub; cat < c",
    )
    yield from (
        "exec > /out/x; ls",
        "exec 3<>/out/x",
        "ls 9>/out/x",
        "ls >/dev/tcp/x/1",
        "ls > a\\\n; evil",
    )


def characters(chance: random.Random) -> Iterator[str]:
    """What looks like something else, or does not show at all."""
    for blank in BLANKS:
        for good in ("ls -l", "git status", "cat a"):
            yield good.replace(" ", blank)
            yield f"{good}{blank}; evil x"
            yield f"{good}{blank}evil x"
            yield f"{blank}{good}"
            yield f"{good};{blank}evil"
    for code in (
        *range(1, 32),
        127,
        0x85,
        0xAD,
        0x202E,
        0x2028,
        0x2029,
        0xFEFF,
        0xFF1B,
        0xFF5C,
        0xE0041,
    ):
        char = chr(code)
        yield f"ls{char}-l"
        yield f"ls {char} evil"
        yield f"ls{char}"
        yield f"ls '{char}'; ls"
        yield f"ls {chance.choice(BAD)}{char}"
    yield from (
        "\uff4c\uff53",
        "l\u0455",
        "\u217cs",
        "ls \uff1b evil x",
        "ls \u037e evil",
        "\u0435vil",
        "lſ",
    )


def long(_: random.Random) -> Iterator[str]:
    """Something small behind a lot."""
    for size in (1000, 4090, 8180, 8192, 8200, 20_000, 65_000):
        yield f"ls {'a' * size}; evil x"
        yield f"ls{' ' * size}; evil x"
        yield f"ls # {'x' * size}\nevil x"
        yield f"ls '{'x' * size}' -l"
        yield f"ls {'a ' * (size // 2)}"
    for count in (50, 255, 300):
        yield f"{'ls; ' * count}evil x"
        yield "ls" + " | cat a" * min(count, 60)
        yield f"{'$(' * count}evil{')' * count}"
        yield f"{'{ ' * count}evil;{' }' * count}"
        yield f"ls {'(' * count}"


def wrappers(_: random.Random) -> Iterator[str]:
    """Programs that run another one."""
    heads = (
        "env",
        "env -i",
        "env A=1",
        "env -u x",
        "env --",
        "env -S",
        "env -vS",
        "env --split-string",
        "nohup",
        "timeout 5",
        "timeout -k 1 5",
        "timeout -s KILL 5",
        "timeout --foreground 5",
        "timeout 5s env",
        "nice",
        "nice -n 5",
        "nice -5",
        "setsid",
        "setsid -w",
        "stdbuf -oL",
        "command",
        "command -p",
        "exec",
        "exec -a ls",
        "xargs",
        "xargs -n1",
        "xargs -I{}",
        "xargs -I % ",
        "xargs -i",
        "xargs sh -c",
        "time",
        "xargs -a a",
        "find . -exec",
        "find . -name a -exec",
        "find . -maxdepth 0 -ok",
        "find . -execdir",
        "sh -c",
        "bash -c",
        "sh -ec",
        "bash --norc -c",
        "sh -c --",
        "busybox",
        "busybox sh -c",
        "builtin",
        "env sh -c",
        "timeout 5 sh -c",
        "!",
        "! !",
        "env -C sub",
        "env --chdir=sub",
        "time -p",
        "sh",
        "sh -s",
    )
    tails = (
        "evil x",
        "'evil x'",
        "ls",
        "'ls; evil'",
        "{} evil",
        "evil {} ;",
        "evil {} \\;",
        "evil {} +",
    )
    for head in heads:
        for tail in tails:
            yield f"{head} {tail}"
        yield f"echo evil | {head}"
        yield f"echo ls | {head} ls"
    yield from ("find . -delete", "find . -exec", "find . $x", "find -files0-from a")
    yield from ("find . -exec ls {} \\; -exec evil {} \\;", "find . -exec ls {} + -o -ok evil \\;")
    yield from (
        "env -S'evil x'",
        "env -iS'evil x'",
        "env --split-string='evil x'",
        "env -S 'ls; evil'",
    )
    yield from (
        "timeout evil ls",
        "timeout 5 -- evil",
        "timeout -v 5 evil",
        "timeout --bad 5 evil",
        "timeout 5",
    )
    yield from (
        "xargs -0 evil <a",
        "xargs -P2 -n1 evil <a",
        "xargs --replace=ls ls <a",
        "xargs <a",
        "xargs ls<a",
    )
    yield from (
        "xargs --max-args=1 evil <a",
        "xargs -d x evil <a",
        "xargs -Ils ls < a",
        "xargs -I ls ls <a",
    )


def compounds(_: random.Random) -> Iterator[str]:
    """Everything between a keyword and its end."""
    for inner in ("evil x", "ls", "$(evil)", "ls; evil"):
        yield f"if {inner}; then ls; fi"
        yield f"if ls; then {inner}; else {inner}; fi"
        yield f"for i in a b; do {inner}; done"
        yield f"for i in $({inner}); do ls $i; done"
        yield f"while {inner}; do break; done"
        yield f"until {inner}; do break; done"
        yield f"case a in a) {inner};; esac"
        yield f"case $({inner}) in *) ls;; esac"
        yield f"( {inner} )"
        yield f"{{ {inner}; }}"
        yield f"[[ -n $({inner}) ]]"
        yield f"(( x = $({inner}) ))"
        yield f"select i in a; do {inner}; done"
        yield f"ls && {{ {inner}; }}"
        yield f"ls | ( {inner} )"
        yield f"time {inner}"
        yield f"coproc {{ {inner}; }}"
        yield f"{inner} & wait"
        yield f"ls & {inner}"
        yield f"! {{ {inner}; }}"
        yield f"function f {{ {inner}; }}; f"
        yield f"for ((i=0;i<1;i++)); do {inner}; done"


TOKENS = (
    *(
        "ls",
        "evil",
        "cat",
        "a",
        "git",
        "diff",
        "-l",
        "echo",
        "cd",
        "sub",
        "x",
        "timeout 5",
        "env",
        "E",
    ),
    *(
        ";",
        "&",
        "&&",
        "|",
        "||",
        "\n",
        " ",
        " ",
        " ",
        "\t",
        "#",
        "!",
        "'",
        '"',
        "`",
        "$",
        "$(",
        ")",
        "(",
    ),
    *(
        "{",
        "}",
        "[",
        "]",
        "[[",
        "]]",
        "<",
        ">",
        "<<",
        "<<<",
        ">>",
        "<(",
        ">&",
        "2>",
        "\\",
        "\\\n",
        "=",
        "*",
    ),
    *(
        "?",
        "~",
        "%",
        "^",
        ",",
        "..",
        "$x",
        "${x}",
        "$'",
        '$"',
        "if",
        "then",
        "fi",
        "do",
        "done",
        "case",
    ),
    *(
        "esac",
        "in",
        "for",
        "while",
        "{ ",
        "; }",
        "() ",
        "time",
        "coproc",
        "function ",
        "alias ls=evil",
        "A=",
    ),
)


def soup(chance: random.Random) -> Iterator[str]:
    """Pieces of shell in any order."""
    for _ in range(500):
        pieces = [chance.choice(TOKENS) for _ in range(chance.randint(1, 9))]
        yield chance.choice(("", " ")).join(pieces)
        yield f"ls {''.join(pieces)}; evil x"[: chance.randint(6, 60)]


def mutations(chance: random.Random) -> Iterator[str]:
    """A harmless command with one thing put into it, taken out or doubled."""
    for _ in range(700):
        command = chance.choice(
            (*GOOD, "ls -l && cat a", "ls 'a b' | wc -l", 'echo "a $x" > out', "ls {a,b}")
        )
        at = chance.randrange(len(command) + 1)
        match chance.randrange(4):
            case 0:
                yield command[:at] + chance.choice(TOKENS) + command[at:]
            case 1:
                yield command[:at] + chance.choice(TOKENS) + " evil x " + command[at:]
            case 2:
                yield command[:at] + command[at + 1 :]
            case _:
                yield command[:at] + chr(chance.randint(1, 126)) + command[at:]


GENERATORS: tuple[Generator, ...] = (
    plain,
    chains,
    quoting,
    expansions,
    assignments,
    definitions,
    here_documents,
    substitutions,
    redirections,
    characters,
    long,
    wrappers,
    compounds,
    soup,
    mutations,
)

_HANGS = ("while", "until", "yes", "wait", "read", "select", "/dev/stdin", "tty", "kill", "sleep")
"""Only kept where they end by themselves."""


def corpus() -> dict[str, str]:
    """Return every command with its generator's name, each once."""
    found: dict[str, str] = {}
    for generator in GENERATORS:
        for command in generator(random.Random(SEED)):
            if "\0" not in command and command not in found:
                found[command] = generator.__name__
    return found
