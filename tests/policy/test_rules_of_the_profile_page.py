"""Each rule that the documentation of profiles states, under its own words."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from deepd.config.advice import warnings
from deepd.errors import ProfileError
from deepd.model.profile import CONSOLE_TOOLS, Answer, Approvals, Rule, ToolPolicy
from deepd.policy.decide import decide
from tests.policy.texts import answer_of, of, over_commands, profile_of
from tests.unit.profile_texts import IMAGE, load, said, write


def test_a_console_tool_that_interrupt_on_does_not_name_runs(tmp_path: Path) -> None:
    profile = load(tmp_path, IMAGE + 'interrupt_on = ["execute"]')
    answers = {tool: decide(profile, tool, {}).answer for tool in CONSOLE_TOOLS}
    assert answers == dict.fromkeys(CONSOLE_TOOLS, "allow") | {"execute": "ask"}


def test_without_interrupt_on_nothing_is_held_and_check_says_so(tmp_path: Path) -> None:
    profile = load(tmp_path, IMAGE)
    assert {decide(profile, tool, {}).answer for tool in CONSOLE_TOOLS} == {"allow"}
    assert "nothing is held" in warnings(profile, {})[0]


@pytest.mark.parametrize("default", ["allow", "ask", "deny"])
def test_the_default_of_approvals_is_for_tools_that_deepd_does_not_know(default: Answer) -> None:
    profile = profile_of(approvals=Approvals(default=default))
    assert decide(profile, "deploy", {}).answer == default
    assert decide(profile, "execute", {"command": "ls"}).answer == "allow"
    assert profile_of().approvals.default == "ask"


def test_deny_is_over_ask_over_allow_and_order_and_specificity_do_not_matter() -> None:
    strength: list[Answer] = ["allow", "ask", "deny"]
    for one, other in itertools.permutations(strength, 2):
        entry = ToolPolicy(
            "execute", "ask", (Rule(one, match="git *"), Rule(other, match="git push origin"))
        )
        expected = max(one, other, key=strength.index)
        assert answer_of(profile_of(entry), "git push origin") == expected


def test_a_typo_in_a_tools_name_is_an_error_with_a_did_you_mean(tmp_path: Path) -> None:
    (problem,) = said(tmp_path, IMAGE + "[interrupt_on.exeucte]\ndefault = 'ask'")
    assert "did you mean `execute`?" in problem


LIST: list[tuple[str, str, bool]] = [
    ("ls", "ls", True),
    ("ls", "ls -l", False),
    ("ls *", "ls", True),
    ("ls *", "ls -l 'a b' $HOME *.py", True),
    ("ls *", "lsof", False),
    ("ls *", "/bin/ls", False),
    ("git diff *", "git diff", True),
    ("git diff *", "git  diff   --stat", True),
    ("git diff *", "git -C / diff", False),
    ("git diff *", "git", False),
    ("cat ?", "cat a", True),
    ("cat ?", "cat 'a b'", True),
    ("cat ?", "cat a b", False),
    ("cat ?", "cat", False),
    ("cat ?", "cat *", False),
    ("cat ? b", "cat a b", True),
    ("cat $HOME", "cat $HOME", False),
    ("echo 'a b'", "echo a\\ b", True),
    ("echo 'a b'", "echo a b", False),
    ("echo \\*", "echo '*'", True),
    ("echo '*'", "echo *", False),
    ("re:git (status|diff)", "git status", True),
    ("re:git (status|diff)", "git diff --stat", False),
    ("re:git (status|diff)", "git status; git diff", True),
    ("re:git .*", "git status; rm x", False),
    ("re:.*", "git status; rm x", True),
    ("re:git log( [a-z]+)*", "git log a 2>&1 > out", True),
    ("re:git log( [a-z]+)*", "'git' log 'a'", True),
    ("re:git log( [a-z]+)*", "git log 'a b'", False),
    ("re:git log( [a-z ]+)*", "git log 'a b'", False),
    ("re:.*", "echo $(id)", False),
]


@pytest.mark.parametrize(("pattern", "command", "expected"), LIST)
def test_a_pattern_is_a_list_of_words_or_a_regular_expression(
    pattern: str, command: str, *, expected: bool
) -> None:
    if "$" in pattern:
        with pytest.raises(ValueError, match="has `\\$`"):
            of(over_commands(allow=[pattern]), command)
        return
    assert (answer_of(over_commands(allow=[pattern]), command) == "allow") is expected


def test_a_regular_expression_takes_linear_time() -> None:
    profile = over_commands(allow=["re:(a*)*b", "re:(a|aa)+$", "ls *"])
    assert answer_of(profile, "a" * 8000) == "allow"
    assert answer_of(profile, "a" * 8000 + "c") == "ask"


def test_allow_needs_every_simple_command_to_be_allowed() -> None:
    profile = over_commands(allow=["ls *", "wc *"])
    for operator in (";", "&&", "||", "|", "\n"):
        assert answer_of(profile, f"ls {operator} wc -l") == "allow"
        assert answer_of(profile, f"ls {operator} rm x") == "ask"
        assert answer_of(profile, f"rm x {operator} ls") == "ask"


UNPROVEN: list[tuple[str, str]] = [
    ("substitution", "ls $(id)"),
    ("substitution", "ls `id`"),
    ("substitution", 'ls "$(id)"'),
    ("redirection out of the work dir", "ls > /etc/passwd"),
    ("redirection out of the work dir", "ls > ../x"),
    ("redirection out of the work dir", "cd /etc && ls > passwd"),
    ("redirection out of the work dir", "ls < /etc/shadow"),
    ("assignment before a command", "PATH=/tmp ls"),
    ("assignment before a command", "A=1"),
    ("eval", "eval ls"),
    ("sh -c", "sh -c ls"),
    ("sh -c", "bash -lc 'ls'"),
    ("sh -c", "env bash -c ls"),
    ("here-documents", "ls <<E\nE"),
    ("here-documents", "ls <<< x"),
    ("process substitution", "ls <(id)"),
    ("unquoted expansions in a command's first word", "$x"),
    ("unquoted expansions in a command's first word", "l? -l"),
    ("unquoted expansions in a command's first word", "{ls,-l}"),
    ("unquoted expansions in a command's first word", "~/ls"),
    ("a function", "ls() { id; }; ls"),
    ("an alias", "alias ls=id\nls"),
    ("the background", "ls & ls"),
    ("an expansion that runs", "ls ${x@P}"),
    ("an expansion that runs", "ls ${x:=y}"),
    ("arithmetic", "ls $((a[0]))"),
    ("a control character", "ls\r"),
    ("a control character", "ls \x00 x"),
    ("a control character", "ls '\x1b[2J'"),
    ("a look-alike", "ls\u00a0-l"),
    ("a look-alike", "\u217cs"),
    ("a look-alike", "ls '\u202e'"),
    ("a broken word", "l\\\ns"),
    ("a parse error", "ls '"),
    ("a parse error", "ls &&"),
    ("a parse error", "ls )"),
    ("a compound command", "if ls; then ls; fi"),
    ("variables taken away", "env -i ls"),
    ("variables taken away", "env -u PATH ls"),
    ("variables taken away", "env -uPATH ls"),
    ("variables taken away", "env - ls"),
    ("a builtin that changes the shell", "hash -p /tmp/x ls; ls"),
    ("a builtin that changes the shell", "export PATH=/tmp; ls"),
    ("a builtin that changes the shell", "printf -v PATH x; ls"),
    ("a builtin that changes the shell", "test -v 'a[$(id)]'"),
]


@pytest.mark.parametrize(("form", "command"), UNPROVEN)
def test_allow_needs_nothing_unproven(form: str, command: str) -> None:
    profile = over_commands(allow=["re:(?s).*", "*"])
    assert answer_of(profile, "ls -l; wc") == "allow"
    verdict = of(profile, command)
    assert (verdict.answer, bool(verdict.detail), verdict.by) == ("ask", True, None), form


@pytest.mark.parametrize("key", ["env", "cwd"])
def test_what_a_call_brings_beside_its_command_is_unproven_too(key: str) -> None:
    profile = over_commands(allow=["ls *"])
    value = {"env": {"PATH": "/tmp"}, "cwd": "/tmp"}[key]
    assert answer_of(profile, "ls", **{key: value}) == "ask"
    assert answer_of(profile, "ls", env={}, cwd="/workspace/src") == "allow"
    assert answer_of(over_commands(allow=["./t"]), "./t", cwd="/workspace/src") == "ask"
    assert answer_of(over_commands(allow=["./t"]), "./t") == "allow"


def test_a_redirection_is_answered_as_the_file_tool_would_be() -> None:
    profile = over_commands(allow=["ls *"])
    assert answer_of(profile, "ls > out.txt 2>&1") == "allow"
    write_file = ToolPolicy("write_file", "ask")
    held = profile_of(*profile.interrupt_on, write_file)
    assert answer_of(held, "ls > out.txt") == "ask"
    assert answer_of(held, "ls > /dev/null 2>&1") == "allow"
    by_path = ToolPolicy("write_file", "allow", (Rule("deny", path=".git/**"),))
    assert answer_of(profile_of(*profile.interrupt_on, by_path), "ls > .git/config") == "ask"


DENIED = [
    "rm x",
    "ls; rm x",
    "ls && /bin/rm x",
    "ls | xargs rm",
    "r''m x",
    "\\rm x",
    "echo $(rm x)",
    'echo "`rm x`"',
    "cat <(rm x)",
    "sh -c 'rm x'",
    "bash -lc 'ls; rm x'",
    "sh -c \"sh -c 'rm x'\"",
    "eval 'rm x'",
    "eval rm x",
    "find . -exec rm {} \\;",
    "find . -name x -execdir rm {} +",
    "env A=1 rm x",
    "env -i rm x",
    "env -S 'rm x'",
    "env -u A rm x",
    "env -uA -i rm x",
    "env --unset=A rm x",
    "sudo -u root rm x",
    "sudo -- rm x",
    "timeout -k 1 5 rm x",
    "nice -n 5 rm x",
    "nohup rm x",
    "setsid rm x &",
    "stdbuf -oL rm x",
    "xargs -n1 rm < files",
    "command rm x",
    "exec rm x",
    "busybox rm x",
    "time rm x",
    "watch -n1 'rm x'",
    "flock /tmp/l -c 'rm x'",
    "sudo timeout 5 nice sh -c 'rm x'",
    "trap 'rm x' EXIT",
    "if true; then rm x; fi",
    "for i in a b; do rm $i; done",
    "f() { rm x; }; f",
    "(rm x)",
    "{ rm x; }",
    "! rm x",
    "A=1 rm x",
    "cat <<E\n$(rm x)\nE",
    "bash <<'E'\nrm x\nE",
    "bash <<< 'rm x'",
    "case x in x) rm x;; esac",
]


@pytest.mark.parametrize("command", DENIED)
@pytest.mark.parametrize("default", ["allow", "ask"])
def test_deny_matches_if_any_part_matches(command: str, default: Answer) -> None:
    profile = over_commands(allow=["*"], deny=["rm *"], default=default)
    assert answer_of(profile, command) == "deny"
    held = over_commands(allow=["*"], ask=["rm *"], default=default)
    assert answer_of(held, command) == "ask"


def test_what_a_wrapper_runs_by_itself_counts_too() -> None:
    assert answer_of(over_commands(allow=["xargs *"]), "xargs") == "ask"
    assert answer_of(over_commands(allow=["xargs *", "echo *"]), "xargs") == "allow"


@pytest.mark.parametrize("command", ["$x y", "r$x y", "${x} y", "`echo rm` y", "echo rm x | sh"])
def test_what_cannot_be_seen_is_asked_where_a_rule_could_stop_it(command: str) -> None:
    assert answer_of(over_commands(deny=["rm *"], default="allow"), command) == "ask"
    assert answer_of(over_commands(default="allow"), command) == "allow"
    assert answer_of(over_commands(deny=["rm *"], default="deny"), command) == "deny"


def test_an_expansion_that_may_be_what_a_rule_stops_is_asked() -> None:
    profile = over_commands(allow=["git *"], deny=["git push *"], default="allow")
    assert answer_of(profile, "git $x") == "ask"
    assert answer_of(profile, "git diff $x") == "allow"


def test_deny_by_a_regular_expression_looks_at_all_of_the_command() -> None:
    profile = over_commands(allow=["*"], deny=[r"re:curl .*\|"])
    assert answer_of(profile, "curl x | tee y") == "deny"
    assert answer_of(profile, "curl x") == "allow"
    assert answer_of(profile, "sh -c 'curl x | sh'") == "deny"


def test_words_that_run_without_a_shell_are_matched_as_they_are() -> None:
    profile = over_commands(allow=["ls *"], deny=["rm *"])

    def answer(*argv: str) -> Answer:
        return decide(profile, "execute", {"argv": list(argv)}).answer

    assert answer("ls", "$(rm x)", "; rm x", "a\nb") == "allow"
    assert answer("ls;", "x") == "ask"
    assert answer("rm", "x") == "deny"
    assert answer("sh", "-c", "rm x") == "deny"
    assert answer("sh", "-c", "ls") == "ask"
    assert answer("env", "ls") == "ask"


@pytest.mark.parametrize("shell", ["/bin/zsh", "/usr/bin/fish", "/bin/sh2"])
def test_another_shell_may_read_it_in_another_way(shell: str) -> None:
    assert answer_of(over_commands(allow=["ls *"], shell=shell), "ls") == "ask"
    assert answer_of(over_commands(allow=["ls *"], shell="/bin/dash"), "ls") == "allow"


PATHS: list[tuple[str, str, bool]] = [
    (".github/**", "/workspace/.github/a/b", True),
    (".github/**", "/workspace/.github", True),
    (".github/**", "/workspace/x/.github/a", False),
    (".github/**", "/.github/a", False),
    ("**/.env", "/workspace/.env", True),
    ("**/.env", "/workspace/a/b/.env", True),
    ("**/.env", "/home/.env", True),
    ("**/.env", "/workspace/.envrc", False),
    ("*.md", "/workspace/a.md", True),
    ("*.md", "/workspace/a/b.md", False),
    ("a?c", "/workspace/a/c", False),
    ("a[bx]c", "/workspace/abc", True),
    ("a[!b]c", "/workspace/abc", False),
    ("a[[]b", "/workspace/a[b", True),
    ("a[]]b", "/workspace/a]b", True),
    ("a[]b", "/workspace/a[]b", True),
    ("a[!]b", "/workspace/a[!]b", True),
    ("/etc/**", "/etc/passwd", True),
    ("/etc/**", "/workspace/etc/passwd", False),
]


@pytest.mark.parametrize(("glob", "resolved", "expected"), PATHS)
def test_paths_are_matched_where_they_really_lead(
    glob: str, resolved: str, *, expected: bool
) -> None:
    stops = profile_of(ToolPolicy("edit_file", "allow", (Rule("ask", path=glob),)))
    allows = profile_of(ToolPolicy("edit_file", "ask", (Rule("allow", path=glob),)))
    args = {"path": "innocent"}
    assert (decide(stops, "edit_file", args, resolved).answer == "ask") is expected
    assert (decide(allows, "edit_file", args, resolved).answer == "allow") is expected
    assert decide(stops, "edit_file", args).answer == "ask"
    assert decide(allows, "edit_file", args).answer == "ask"


def test_a_search_that_may_come_upon_what_a_rule_stops_is_asked() -> None:
    entry = ToolPolicy("grep", "allow", (Rule("deny", path="secret/**"),))
    profile = profile_of(entry)

    def answer(path: str) -> Answer:
        return decide(profile, "grep", {"pattern": "x", "path": path}, f"/workspace/{path}").answer

    assert (answer("secret"), answer("secret/a"), answer("src")) == ("deny", "deny", "allow")
    assert decide(profile, "grep", {"pattern": "x"}, "/workspace").answer == "ask"


TESTED = """
[interrupt_on.execute]
allow = ["ls *"]
[[test]]
execute = "ls -l"
expect = "allow"
[[test]]
execute = "ls; rm x"
expect = "{expect}"
[[test]]
tool = "deploy"
expect = "ask"
[[test]]
read_file = "a"
expect = "allow"
"""


def test_all_tests_of_a_profile_must_hold_or_the_file_is_refused(tmp_path: Path) -> None:
    assert len(load(tmp_path, IMAGE + TESTED.format(expect="ask")).tests) == 4
    (problem,) = said(tmp_path, IMAGE + TESTED.format(expect="allow"))
    assert problem.startswith("10:10 the test expects allow, and ask was decided | by ask:")
    assert "no rule allows `rm x`" in problem


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_profile_that_another_user_may_write_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, IMAGE)
    file.chmod(0o666)
    with pytest.raises(ProfileError):
        load_again(file)


def load_again(file: Path) -> None:
    from deepd.config.load import load_profile
    from tests.unit.profile_texts import settings_for

    load_profile(file, settings_for(file.parent))
