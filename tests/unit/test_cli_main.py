"""The command itself: finding the verb, usage errors, exit codes, and what is not imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deepd import errors
from deepd.cli import failure, verbs
from deepd.cli.main import main, top_parser


def test_help_lists_every_verb_without_importing_one() -> None:
    check = (
        "import sys; from deepd.cli.main import top_parser; text = top_parser().format_help();"
        "from deepd.cli.verbs import SUMMARIES;"
        "print([v for v in SUMMARIES if v not in text]);"
        "print([m for m in sys.modules if m in {f'deepd.cli.{v}' for v in SUMMARIES}])"
    )
    command = [sys.executable, "-c", check]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.split("\n")[:2] == ["[]", "[]"], result.stderr


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == top_parser().format_help()


@pytest.mark.parametrize(("typo", "meant"), [("aprove", "approve"), ("stauts", "status")])
def test_a_mistyped_verb_is_a_usage_error_with_a_guess(
    typo: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--socket", "/nowhere", typo]) == 64
    assert f"did you mean `{meant}`?" in capsys.readouterr().err


def test_a_wrong_option_exits_with_64_and_names_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["status", "--jsn"])
    assert stopped.value.code == 64
    assert "next: deepd status --help" in capsys.readouterr().err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith("deepd ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DaemonDownError(""), 3),
        (errors.NotFoundError(""), 4),
        (errors.GoneError(""), 4),
        (errors.ForbiddenError(""), 5),
        (errors.CallTimeoutError(""), 6),
        (errors.EngineTimeoutError(""), 6),
        (errors.DeniedError(""), 7),
        (errors.ConflictError(""), 8),
        (errors.AlreadyDecidedError(""), 8),
        (errors.FingerprintError(""), 8),
        (errors.OwnedError(""), 8),
        (errors.BadRequestError(""), 64),
        (errors.ArgumentsError(""), 64),
        (errors.EngineDownError(""), 69),
        (errors.ProfileError(""), 78),
        (errors.SettingsError(""), 78),
        (errors.ImageNotFoundError(""), 1),
        (errors.CallLostError(""), 1),
        (errors.DeepdError(""), 1),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(error: errors.DeepdError, code: int) -> None:
    assert failure.exit_code(error) == code


def test_an_error_is_said_with_what_to_do_next_and_cannot_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = errors.NotFoundError("no session \x1b[2J", next_step="see `deepd ps`")
    assert failure.report(error) == 4
    assert capsys.readouterr().err == "error: no session \\u{1b}[2J\nnext: see `deepd ps`\n"


@pytest.mark.parametrize("verb", verbs.SUMMARIES)
def test_every_verb_of_the_table_has_a_module_that_explains_itself(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: deepd {verb}")
