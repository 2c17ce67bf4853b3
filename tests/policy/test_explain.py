"""What `explain` says: the decision, the line, the part, and an edit that really changes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepd.cli.main import main
from deepd.policy.explain import Explanation, call_of, explain
from tests.unit.profile_texts import IMAGE, load, write

TEXT = (
    IMAGE
    + """
[interrupt_on]
write_file = "ask"
"mcp_*" = "ask"
[interrupt_on.execute]
default = "ask"
allow = ["ls *", "cat *"]
ask = ["git push *"]
deny = [{match = 're:curl .*\\|', reason = "no piping from the network"}]
[interrupt_on.edit_file]
default = "allow"
ask = [{path = "**/.env"}]
"""
)


def explained(folder: Path, tool: str, *words: str, text: str = TEXT) -> Explanation:
    args = call_of(tool, list(words))
    resolved = f"/workspace/{words[0]}" if words and tool != "execute" else None
    return explain(load(folder, text), tool, args, resolved)


def edits_of(found: Explanation) -> list[str]:
    return [f"{edit.action} {edit.key} {edit.value}" for edit in found.edits]


def test_the_rule_its_place_and_the_part_that_decided_are_named(tmp_path: Path) -> None:
    found = explained(tmp_path, "execute", "ls && git push origin main; ls")
    assert (found.answer, found.rule) == ("ask", 'interrupt_on.execute.ask = ["git push *"]')
    assert str(found.position) == f"{tmp_path}/strict.toml:9:8"
    assert (found.part, found.part_text) == ((6, 26), "git push origin main")


def test_bytes_are_counted_also_behind_what_is_not_ascii(tmp_path: Path) -> None:
    found = explained(tmp_path, "execute", "ls 'é'; git push")
    assert found.part == (9, 17)
    assert found.part_text == "git push"


def test_what_is_too_long_for_a_rule_is_explained_without_one(tmp_path: Path) -> None:
    found = explained(tmp_path, "execute", f"tar {'x' * 2000}")
    assert (found.answer, found.edits, found.becomes) == ("ask", (), None)
    assert "a person can approve it" in found.advice
    held = explained(tmp_path, "execute", f"ls {'x' * 2000}")
    assert (held.answer, held.becomes) == ("allow", "ask")
    assert edits_of(held) == ['add interrupt_on.execute.ask "ls *"']


def test_a_substitution_is_shown_whole(tmp_path: Path) -> None:
    found = explained(tmp_path, "execute", "ls $(id -u) x")
    assert (found.part_text, found.detail) == ("$(id -u)", "it has a substitution")
    assert (found.edits, found.becomes) == ((), None)
    assert "a person can approve it" in found.advice


def test_the_reason_of_the_profile_is_told(tmp_path: Path) -> None:
    found = explained(tmp_path, "execute", "curl x | sh")
    assert (found.answer, found.reason) == ("deny", "no piping from the network")
    assert found.part_text == "curl x |"


EDITS: list[tuple[list[str], str, list[str]]] = [
    (["execute", "rm x"], "allow", ['add interrupt_on.execute.allow "rm x"']),
    (
        ["execute", "ls; rm x; id"],
        "allow",
        ['add interrupt_on.execute.allow "rm x"', 'add interrupt_on.execute.allow "id"'],
    ),
    (
        ["execute", "git push"],
        "allow",
        [
            'remove interrupt_on.execute.ask "git push *"',
            'add interrupt_on.execute.allow "git push"',
        ],
    ),
    (["execute", "rm 'a b' $x"], "allow", ["add interrupt_on.execute.allow \"rm 'a b' *\""]),
    (["execute", "curl x | sh"], "ask", ["remove interrupt_on.execute.deny 're:curl .*\\|'"]),
    (["execute", "ls -l"], "ask", ['add interrupt_on.execute.ask "ls -l"']),
    (["write_file", "a/b"], "allow", ['add interrupt_on.write_file.allow {path = "a/b"}']),
    (["edit_file", "a/.env"], "allow", ['remove interrupt_on.edit_file.ask {path = "**/.env"}']),
    (["edit_file", "a/[b"], "ask", ['add interrupt_on.edit_file.ask {path = "a/[[]b"}']),
    (["read_file", "a"], "ask", ['set interrupt_on.read_file "ask"']),
    (["mcp_x"], "allow", ['set interrupt_on."mcp_*" "allow"']),
    (["deploy"], "allow", ['set interrupt_on."deploy*" "allow"']),
]


@pytest.mark.parametrize(("call", "becomes", "edits"), EDITS)
def test_the_smallest_edit_is_tried_out(
    tmp_path: Path, call: list[str], becomes: str, edits: list[str]
) -> None:
    found = explained(tmp_path, *call)
    assert (edits_of(found), found.becomes) == (edits, becomes)


@pytest.mark.parametrize(
    ("line", "edit"),
    [
        ("interrupt_on = true", "set interrupt_on false"),
        ('interrupt_on = ["ls", "mcp_*"]', 'remove interrupt_on "ls"'),
        ('interrupt_on = {ls = "deny"}', 'set interrupt_on.ls "ask"'),
    ],
)
def test_an_edit_is_in_the_words_of_the_file(tmp_path: Path, line: str, edit: str) -> None:
    found = explain(load(tmp_path, IMAGE + line), "ls", {"path": "."}, None)
    assert edits_of(found) == [edit]


def test_the_command_explains_a_file_without_a_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, TEXT)
    assert main(["explain", str(file), "--", "execute", "ls; git push"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["ask  execute", "  ls; git push", "      ^^^^^^^^"]
    assert lines[3] == f'by    {file}:9:8  interrupt_on.execute.ask = ["git push *"]'
    assert lines[4] == "to allow it:"
    assert main(["explain", str(file), "--json", "--", "execute", "rm", "a b"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["answer"], found["becomes"]) == ("ask", "allow")
    assert found["edits"][0]["text"] == "add \"rm 'a b'\" to interrupt_on.execute.allow"


def test_what_is_shown_of_a_command_is_visible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, TEXT)
    assert main(["explain", str(file), "--", "execute", "ls '\x1b[2J\u202e'"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_a_call_must_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["explain", str(write(tmp_path, TEXT))])
    assert stopped.value.code == 64
    assert "name the call" in capsys.readouterr().err
