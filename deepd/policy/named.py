"""Which files a command may run: an approval binds their content, not only their names.

Too many are better than one too few: every word of a command that is more than plain reading and
moving is taken for the name of a file, and so is what a program looks for by itself, such as a
Makefile. Which of them are there, only the sandbox knows.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deepd.policy.commands import read
from deepd.policy.place import lexical
from deepd.policy.reading import Reading
from deepd.policy.shell import SHELLS, Command, Word, names

MAX_NAMED = 128
"""Names that are looked for; what has more is said not to be bound."""
_MAX_FOLDERS = 8
_MAX_PATH = 4096

_PLAIN = names(
    ": [ base64 basename cat cd chmod chown cksum cmp column comm cp cut date df diff dirname du "
    "echo egrep exit expr false fgrep file fold grep head hostname id jq kill less ln ls md5sum "
    "mkdir more mv nl od paste printenv printf ps pwd readlink realpath rg rm rmdir seq sha1sum "
    "sha256sum sha512sum sleep sort stat sum tac tail tee test touch tr tree true tty uname uniq "
    "wc which whoami xxd yes"
)
"""Programs that run none of the files that they are given."""
_IMPLIED: dict[str, tuple[str, ...]] = {
    "bun": ("package.json",),
    "cargo": ("Cargo.toml", "build.rs"),
    "gmake": ("GNUmakefile", "makefile", "Makefile"),
    "just": ("justfile", "Justfile", ".justfile"),
    "make": ("GNUmakefile", "makefile", "Makefile"),
    "nox": ("noxfile.py",),
    "npm": ("package.json",),
    "npx": ("package.json",),
    "pip": ("setup.py", "pyproject.toml"),
    "pnpm": ("package.json",),
    "pytest": ("conftest.py", "pytest.ini", "pyproject.toml", "setup.cfg"),
    "rake": ("Rakefile", "rakefile"),
    "tox": ("tox.ini", "pyproject.toml", "setup.cfg"),
    "yarn": ("package.json",),
}
"""Files that a program runs without being told so, in the folder where it runs."""
_BEHIND: dict[str, tuple[str, ...]] = {
    "node": (".js", ".cjs", ".mjs", "/index.js", "/package.json"),
    "python": ("/__main__.py",),
    "pypy": ("/__main__.py",),
}
"""What an interpreter takes for a name that is a folder, or has no suffix."""
_INTERPRETERS = SHELLS | names(". deno lua node perl php pypy python ruby source Rscript")
_VERSION = re.compile(r"(?<=[A-Za-z])[0-9.]+\Z")
_MOVING = frozenset({"cd", "chdir", "pushd"})


@dataclass(frozen=True, slots=True)
class Named:
    """The files that a command may run, as far as its words tell."""

    paths: tuple[str, ...] = ()
    """Absolute, and not made shorter: what `..` means depends on links."""
    unseen: tuple[str, ...] = ()
    """What it may run beside them that cannot be told from its words."""


def named(args: Mapping[str, Any], work_dir: str, search: str = "") -> Named:
    """Return what an `execute` may run; `search` is the profile's own `PATH`."""
    reading = read(args)
    variables = [str(value) for value in (args.get("env") or {}).values()]
    if reading.doubt and not reading.is_read:
        return Named((), (reading.doubt.reason,))
    if not variables and all(map(_is_plain, reading.commands)):
        return Named()
    folders = _folders(reading, lexical(str(args.get("cwd") or "."), work_dir))
    own = (args.get("env") or {}).get("PATH", search)
    found = dict.fromkeys(_absolute(_names(reading, variables), folders))
    found |= dict.fromkeys(_searched(reading, str(own), work_dir))
    unseen = _unseen(reading)
    if len(found) > MAX_NAMED:
        unseen = (*unseen, f"it has more than {MAX_NAMED} names")
    return Named(tuple(found)[:MAX_NAMED], unseen)


def _names(reading: Reading, variables: Iterable[str]) -> Iterator[str]:
    """Yield every text that may be the name of a file, likely ones first."""
    for command in reading.commands:
        if "/" in command.name:
            yield command.name
        yield from _IMPLIED.get(_program(command), ())
    for command in reading.commands:
        texts = [word.text for word in command.words[1:] if not word.is_open]
        for text in texts:
            yield from _forms(text)
        yield from _behind(_program(command), texts)
    for word in reading.reads:
        if not word.is_open:
            yield word.text
    for value in variables:
        yield from _forms(value)


def _forms(text: str) -> Iterator[str]:
    """Yield the names that may be in a word: `x`, `--file=x`, `-fx`, `@x`."""
    if not text.startswith("-"):
        yield text
    elif len(text) > 2 and not text.startswith("--"):
        yield text[2:]
    if text.startswith("@"):
        yield text[1:]
    if "=" in text:
        yield text.partition("=")[2]


def _behind(program: str, texts: list[str]) -> Iterator[str]:
    """Yield what an interpreter makes of a module's or a folder's name."""
    if program in {"python", "pypy"} and "-m" in texts[:-1]:
        path = texts[texts.index("-m") + 1].replace(".", "/")
        yield from (f"{path}.py", f"{path}/__init__.py", f"{path}/__main__.py")
    script = next((text for text in texts if not text.startswith("-")), None)
    if script is not None:
        yield from (script + ending for ending in _BEHIND.get(program, ()))


def _absolute(texts: Iterable[str], folders: list[str]) -> Iterator[str]:
    for text in texts:
        if not text or len(text) > _MAX_PATH or not _is_name(text):
            continue
        for folder in [""] if text.startswith("/") else folders:
            yield posixpath.join(folder, text.removeprefix("./"))


def _is_name(text: str) -> bool:
    """Return whether a file can have this name; a lone surrogate has no bytes."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _folders(reading: Reading, start: str) -> list[str]:
    """Return where it may run: where it begins, and what it changes to."""
    folders = [start]
    for command in reading.commands:
        for text in _moves(command):
            new = [posixpath.join(folder, text) for folder in folders]
            folders += [folder for folder in dict.fromkeys(new) if folder not in folders]
    return folders[:_MAX_FOLDERS]


def _moves(command: Command) -> Iterator[str]:
    """Yield the folders that a command names to run in."""
    if command.name in _MOVING:
        yield from (word.text for word in command.words[1:2] if not word.is_open)
        return
    for at, word in enumerate(command.words):
        if word.text in {"-C", "--directory", "--prefix", "--cwd", "--chdir"}:
            yield from (word.text for word in command.words[at + 1 : at + 2] if not word.is_open)
        elif word.text.startswith(("--directory=", "--prefix=", "--cwd=", "--chdir=")):
            yield word.text.partition("=")[2]
        elif word.text.startswith("-C") and len(word.text) > 2:
            yield word.text[2:]


def _searched(reading: Reading, search: str, work_dir: str) -> Iterator[str]:
    """Yield where a program is found by its bare name, as far as that is in the workspace."""
    folders = [lexical(folder or ".", work_dir) for folder in search.split(":")] if search else []
    inside = [folder for folder in folders if f"{folder}/".startswith(f"{work_dir}/")]
    for command in reading.commands:
        if command.name and "/" not in command.name:
            yield from (posixpath.join(folder, command.name) for folder in inside[:_MAX_FOLDERS])


def _unseen(reading: Reading) -> tuple[str, ...]:
    """Return what an expansion hides of the programs and scripts that are run."""
    found: list[str] = []
    for command in reading.commands:
        word = command.words[0] if command.words else None
        if word is not None and not word.is_open:
            is_script = _program(command) in _INTERPRETERS
            word = _script(command) if is_script else None
        if word is not None and word.is_open:
            found.append(f"an expansion decides what `{word.text[:80]}` is")
    return tuple(dict.fromkeys(found))[:_MAX_FOLDERS]


def _script(command: Command) -> Word | None:
    return next((word for word in command.words[1:] if not word.text.startswith("-")), None)


def _is_plain(command: Command) -> bool:
    return command.name in _PLAIN


def _program(command: Command) -> str:
    """Return a program's name without its folder and version."""
    return _VERSION.sub("", command.name.rsplit("/", 1)[-1])
