"""Which files a command names: all that it may run, and nothing of what is only read."""

from __future__ import annotations

from typing import Any

import pytest

from deepd.policy.named import MAX_NAMED, Named, named


def names(command: str, **args: Any) -> Named:
    found = named({"command": command, **args}, "/w")
    paths = (path.removeprefix("/w/") for path in found.paths)
    return Named(tuple(sorted(paths)), found.unseen)


NAMED: list[tuple[str, list[str]]] = [
    ("./tool", ["tool"]),
    ("/opt/tool -v", ["/opt/tool"]),
    ("sh x.sh", ["x.sh"]),
    ("bash -x 'a b.sh' arg", ["a b.sh", "arg"]),
    (". ./env.sh", ["env.sh"]),
    ("source env", ["env"]),
    ("bash < x.sh", ["x.sh"]),
    ("cat x.sh | bash", ["x.sh"]),
    ("cp a.sh b.sh && sh b.sh", ["a.sh", "b.sh"]),
    ("python run.py", ["run.py", "run.py/__main__.py"]),
    ("python3.11 -u run.py", ["run.py", "run.py/__main__.py"]),
    ("python -m a.b", ["a.b", "a.b/__main__.py", "a/b.py", "a/b/__init__.py", "a/b/__main__.py"]),
    ("make", ["GNUmakefile", "Makefile", "makefile"]),
    ("awk -fprog data", ["data", "prog"]),
    ("curl --config=c.txt", ["c.txt"]),
    ("gcc @flags", ["@flags", "flags"]),
    ("cd sub && ./run", ["run", "sub/run"]),
    ("sh -c './inner'", ["./inner", "inner"]),
    ("xargs ./each < list", ["./each", "each", "list"]),
    ("timeout 5 ./slow", ["./slow", "5", "slow"]),
    ("find . -exec ./do {} \\;", ["do"]),
    ("true; (./deep)", ["deep"]),
    ("FOO=1 ./x", ["x"]),
    ("echo $(./sub)", ["sub"]),
]


@pytest.mark.parametrize(("command", "expected"), NAMED)
def test_what_a_command_may_run_is_named(command: str, expected: list[str]) -> None:
    found = {path.removeprefix("./") for path in names(command).paths}
    assert {path.removeprefix("./") for path in expected} <= found


@pytest.mark.parametrize(
    "command", ["cat a b", "ls -l x; wc -l y", "rm x", "tail -f log | grep x", "echo a > b", "# x"]
)
def test_what_is_only_read_or_moved_is_not_named(command: str) -> None:
    assert names(command) == Named()


def test_words_without_a_shell_are_named_as_they_are() -> None:
    found = named({"argv": ["sh", "a b;c"]}, "/w")
    assert found.paths == ("/w/a b;c",)


def test_a_folder_that_a_call_runs_in_counts() -> None:
    assert names("./x", cwd="sub").paths == ("sub/x",)
    assert "sub/Makefile" in names("make -C sub").paths
    assert "sub/Makefile" in names("make --directory=sub").paths


def test_a_file_that_a_variable_of_the_call_names_counts() -> None:
    assert "rc" in names("true", env={"BASH_ENV": "rc"}).paths


def test_a_bare_name_is_looked_for_where_the_path_leads_into_the_workspace() -> None:
    args = {"command": "tool x"}
    assert "/w/bin/tool" in named(args, "/w", "/usr/bin:/w/bin").paths
    assert "/w/bin/tool" in named(args | {"env": {"PATH": "bin"}}, "/w").paths
    assert "/usr/bin/tool" not in named(args, "/w", "/usr/bin").paths


@pytest.mark.parametrize("command", ["$tool x", "python $script", "sh scripts/*.sh", ". $rc"])
def test_what_an_expansion_hides_is_said(command: str) -> None:
    assert "an expansion decides" in names(command).unseen[0]


def test_more_names_than_are_looked_for_are_said() -> None:
    found = names("sh " + " ".join(f"f{at}" for at in range(200)))
    assert len(found.paths) == MAX_NAMED
    assert found.unseen == (f"it has more than {MAX_NAMED} names",)
    assert names("sh x" + " " * 70_000).unseen == ("it is too long to be read",)


def test_a_text_that_no_file_is_called_is_left_out() -> None:
    assert named({"argv": ["sh", "a\udc80", "b"]}, "/w").paths == ("/w/b",)
    assert names("sh 'a\udc80' b").unseen == ("it has half of a character",)
