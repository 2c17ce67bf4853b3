"""The small parts of the command line: tables, keys, edits, holes, completion, progress."""

from __future__ import annotations

import io
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepd.cli import completion_scripts, edit_args, host_checks
from deepd.cli.approval_text import render_approval
from deepd.cli.completion import shapes
from deepd.cli.detach import DetachKeys
from deepd.cli.finding import Finding
from deepd.cli.main import main
from deepd.cli.progress import progress
from deepd.cli.runtime_holes import holes_of, runc_version
from deepd.cli.show import cut, print_table, width


def test_columns_are_as_wide_as_what_a_terminal_shows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "N"), [("日本", "1"), ("ab\ncd", "22")], right=("N",))
    assert capsys.readouterr().out == "NAME    N\n日本    1\nab⏎cd  22\n"


@given(st.text(), st.integers(min_value=1, max_value=20))
def test_a_cut_text_fits(text: str, room: int) -> None:
    assert width(cut(text, room)) <= room


def test_colours_are_for_terminals_only(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("STATE",), [("failed",)])
    assert "\x1b" not in capsys.readouterr().out


def test_nothing_of_an_approval_is_cut_or_obeyed() -> None:
    command = "x" * 5000 + "\x1b]52;c;AAAA\x07"
    shown = render_approval(
        {
            "session": "main",
            "profile": "p\x1b",
            "tool": "write_file",
            "client": "a\u202e",
            "rule": "r",
            "args": {"path": "f", "content": command, "mode": 420},
            "context": {"volumes": [{"source": "/s", "target": "/t", "read_only": True}]},
        }
    )
    assert "x" * 5000 + r"\u{1b}]52;c;AAAA\u{7}" in shown
    assert r"write_file in main (p\u{1b}), asked by a\u{202e}" in shown
    assert "mounts /s at /t (read-only)" in shown
    assert "mode  420" in shown
    assert shown.isprintable() is False
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("typed", "sent", "found"),
    [
        ([b"abc"], b"abc", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"a\x10", b"\x11"], b"a", True),
        ([b"\x10x"], b"\x10x", False),
        ([b"\x10", b"\x10", b"\x11"], b"\x10", True),
        ([b"\x11"], b"\x11", False),
    ],
)
def test_the_two_keys_that_leave_are_found_however_they_come(
    *, typed: list[bytes], sent: bytes, found: bool
) -> None:
    keys = DetachKeys()
    assert b"".join(map(keys.feed, typed)) == sent
    assert keys.found is found


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
        min_size=1,
    )
)
def test_arguments_that_nobody_changed_come_back_from_the_editor_as_they_were(
    args: dict[str, object],
) -> None:
    text, suffix = edit_args.render_args(args)
    assert edit_args.parse_args(text, suffix) == args


def test_a_script_is_edited_line_by_line() -> None:
    text, suffix = edit_args.render_args({"command": "one\ntwo\n"})
    assert suffix == ".toml"
    assert "\none\ntwo\n" in text
    assert edit_args.parse_args("# nothing\n", ".toml") is None
    assert edit_args.parse_args("\n", ".json") is None


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ((1, 1, 5), ["CVE-2024-21626", "CVE-2024-45310", "CVE-2025-31133"]),
        ((1, 1, 12), ["CVE-2024-45310", "CVE-2025-31133"]),
        ((1, 1, 15), ["CVE-2025-31133"]),
        ((1, 2, 7), ["CVE-2025-31133"]),
        ((1, 2, 8), []),
        ((1, 3, 2), ["CVE-2025-31133"]),
        ((1, 3, 3), []),
        ((1, 4, 0), []),
    ],
)
def test_each_branch_of_the_runtime_has_its_own_first_good_version(
    version: tuple[int, int, int], names: list[str]
) -> None:
    assert [hole.names.split(",")[0] for hole in holes_of(version)] == names


def test_the_runtimes_version_is_read_out_of_the_isolation() -> None:
    assert runc_version("containers (runc 1.1.5+ds1, seccomp)") == (1, 1, 5)
    assert runc_version("containers (runsc release-2024, seccomp)") is None
    (finding,) = host_checks.check_runtime("containers (runc 1.3.4)")
    assert finding == Finding("runtime", "ok", "runc 1.3.4 has no hole that is known here")


def test_progress_in_a_pipe_is_a_line_for_each_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    with progress() as show:
        for state in ("pulling  1%", "pulling  2%", "starting", "starting", "ready"):
            show([("main", state)])
    assert said.getvalue() == "main  pulling  1%\nmain  starting\nmain  ready\n"


COMPLETE = """
{script}
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_deepd; printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("deepd appr", {"approvals", "approve"}),
        ("deepd status --", {"--help", "--json", "--socket"}),
        ("deepd --socket /x rel", {"reload"}),
        ("deepd completion b", {"bash"}),
        ("deepd exec ma", {"main"}),
    ],
)
def test_bash_completes_verbs_options_words_and_sessions(words: str, offered: set[str]) -> None:
    script = completion_scripts.render_bash(shapes())
    names = "deepd() { echo main; echo other; }\n"
    text = names + COMPLETE.format(script=script, words=words)
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_verb_and_option_is_in_every_script(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for verb in shapes():
        assert verb.name in script
        for option in verb.options:
            for flag in option.flags:
                assert (flag if shell != "fish" else flag.lstrip("-")) in script
