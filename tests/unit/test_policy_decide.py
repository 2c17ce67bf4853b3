"""What each form of `interrupt_on` answers to a call."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from deepd.model.ids import ProfileName
from deepd.model.profile import CONSOLE_TOOLS, Answer, Profile, Rule, ToolPolicy
from deepd.policy.decide import decide
from tests.unit.profile_texts import IMAGE, load


def answers(profile: Profile, *tools: str) -> list[str]:
    return [decide(profile, tool, {}).answer for tool in tools]


def test_true_holds_every_call_of_any_tool(tmp_path: Path) -> None:
    profile = load(tmp_path, IMAGE + "interrupt_on = true")
    assert set(answers(profile, *CONSOLE_TOOLS, "deploy", "mcp_x")) == {"ask"}
    verdict = decide(profile, "ls", {})
    assert verdict.rule == "interrupt_on = true"
    assert str(verdict.position) == f"{tmp_path}/strict.toml:2:1"


@pytest.mark.parametrize("line", ["", "interrupt_on = false", "interrupt_on = []"])
def test_without_interrupt_on_the_tools_of_deepd_run_and_others_ask(
    tmp_path: Path, line: str
) -> None:
    profile = load(tmp_path, IMAGE + line)
    assert set(answers(profile, *CONSOLE_TOOLS)) == {"allow"}
    assert answers(profile, "deploy") == ["ask"]
    assert decide(profile, "deploy", {}).rule == 'approvals.default = "ask"'


def test_a_list_holds_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    profile = load(tmp_path, IMAGE + 'interrupt_on = ["execute", "write_file"]')
    assert answers(profile, *CONSOLE_TOOLS) == ["ask", "allow", "ask"] + ["allow"] * 4
    assert decide(profile, "ls", {}).rule == "`interrupt_on` does not name ls"
    verdict = decide(profile, "write_file", {})
    assert str(verdict) == (f'ask: interrupt_on = ["write_file"] ({tmp_path}/strict.toml:2:28)')


def test_a_table_answers_for_each_tool(tmp_path: Path) -> None:
    profile = load(
        tmp_path,
        IMAGE + '[interrupt_on]\nexecute = true\nls = false\ngrep = "deny"\n"mcp_*" = "deny"\n',
    )
    assert answers(profile, "execute", "ls", "grep", "glob") == ["ask", "allow", "deny", "allow"]
    assert answers(profile, "mcp_fetch", "MCP_fetch", "mcp") == ["deny", "ask", "ask"]


@pytest.mark.parametrize("default", ["allow", "ask", "deny"])
def test_tools_that_nobody_names_get_the_default(tmp_path: Path, default: str) -> None:
    profile = load(tmp_path, IMAGE + f'[approvals]\ndefault = "{default}"')
    assert answers(profile, "deploy", "Execute", "execute ", "") == [default] * 4
    assert answers(profile, "execute") == ["allow"]


def profile_of(entries: tuple[ToolPolicy, ...]) -> Profile:
    return Profile(name=ProfileName("p"), file=Path("p.toml"), interrupt_on=entries)


def test_deny_is_over_ask_over_allow_in_any_order() -> None:
    strength: list[Answer] = ["allow", "ask", "deny"]
    for one, other in itertools.product(strength, strength):
        entries = (ToolPolicy("mcp_*", one), ToolPolicy("*_fetch", other))
        expected = max(one, other, key=strength.index)
        assert answers(profile_of(entries), "mcp_fetch") == [expected]
        assert answers(profile_of(entries[::-1]), "mcp_fetch") == [expected]


def test_a_glob_holds_deepds_own_tools_too(tmp_path: Path) -> None:
    profile = load(tmp_path, IMAGE + 'interrupt_on = {"*_file" = "ask", read_file = "allow"}')
    assert answers(profile, "read_file", "edit_file", "ls") == ["ask", "ask", "allow"]


def test_the_entry_that_names_the_tool_is_the_one_that_is_shown() -> None:
    entries = (ToolPolicy("*", "ask", written="all"), ToolPolicy("ls", "ask", written="ls"))
    assert decide(profile_of(entries), "ls", {}).rule == "ls"
    assert decide(profile_of(entries), "grep", {}).rule == "all"


def test_a_held_call_waits_as_long_as_its_tool_says_or_else_the_profile(tmp_path: Path) -> None:
    profile = load(
        tmp_path,
        IMAGE
        + 'interrupt_on.execute = {default = "ask", timeout = "2m"}\n'
        + 'interrupt_on.ls = true\ninterrupt_on.grep = "deny"\n[approvals]\ntimeout = "10m"',
    )
    assert [decide(profile, tool, {}).timeout for tool in ("execute", "ls", "deploy")] == [
        120,
        600,
        600,
    ]
    assert decide(profile, "grep", {}).timeout is None
    assert decide(profile, "ls", {}).on_timeout == "deny"


def test_a_call_that_is_kept_has_no_deadline(tmp_path: Path) -> None:
    profile = load(tmp_path, IMAGE + 'interrupt_on = true\n[approvals]\non_timeout = "keep"')
    verdict = decide(profile, "ls", {})
    assert (verdict.timeout, verdict.on_timeout) == (None, "keep")


def test_an_entry_with_rules_over_arguments_never_opens_the_gate() -> None:
    entry = ToolPolicy("execute", "allow", (Rule("deny", match="rm *"),))
    assert answers(profile_of((entry,)), "execute") == ["ask"]
