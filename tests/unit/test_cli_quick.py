"""The quick way through the command line: it does what the whole one does, and loads less."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepd.cli.entry import guarded
from deepd.cli.main import main
from deepd.cli.quick import quick
from tests.unit.cli_server import PreparedDaemon

ID = "3f2a91c0" * 4
CALL = {"id": ID, "state": "finished", "exit_code": 3, "output_size": 5}
OUTPUT = {"kind": "output", "offset": 0, "stream": 1, "text": "hello"}
START: dict[str, Any] = {"kind": "call", "call": {"id": ID}}


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[PreparedDaemon]:
    with tempfile.TemporaryDirectory() as folder:
        prepared = PreparedDaemon(Path(folder) / "deepd.sock")
        monkeypatch.setenv("DEEPD_SOCKET", str(prepared.path))
        yield prepared
        prepared.close()


ENDS: dict[str, list[dict[str, Any]]] = {
    "finished": [START, OUTPUT, {"kind": "end", "call": CALL}],
    "bytes": [START, {**OUTPUT, "stream": 2, "text": "\u00fc"}, {"kind": "end", "call": CALL}],
    "held": [START, {"kind": "held", "call": ID}, OUTPUT, {"kind": "end", "call": CALL}],
    "denied": [START, {"kind": "end", "call": {**CALL, "state": "denied", "rule": "strict"}}],
    "cut": [START, OUTPUT],
}


@pytest.mark.parametrize("lines", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("command", [["true"], ["sh", "-c", "a 'b' \u00fc"], ["--", "-x"]], ids=str)
def test_exec_asks_and_ends_as_the_whole_parser_has_it(
    daemon: PreparedDaemon,
    capfdbinary: pytest.CaptureFixture[bytes],
    lines: list[dict[str, Any]],
    command: list[str],
) -> None:
    route = "POST /v1/sessions/my%2Fmain/exec"
    daemon.on(route, lambda _: (200, iter(lines)))
    daemon.on(f"GET /v1/calls/{ID}", CALL)
    argv = ["exec", "my/main", "--", *command]
    doing = quick(argv)
    assert doing is not None
    both = []
    for is_quick in (True, False):
        code = guarded(doing) if is_quick else main(argv)
        asked = daemon.last(route)
        headers = {name: value for name, value in asked.headers.items() if "key" not in name}
        both.append((code, *capfdbinary.readouterr(), asked.json(), headers))
    assert both[0] == both[1]
    keys = [asked.headers["idempotency-key"] for asked in daemon.asked if "/exec" in asked.target]
    assert len(set(keys)) == 2


def test_status_prints_the_document_as_it_came(
    daemon: PreparedDaemon, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    daemon.on("GET /v1/info", {"version": "1", "profiles": []})
    doing = quick(["status", "--json"])
    assert doing is not None
    assert guarded(doing) == main(["status", "--json"]) == 0
    first, second = capfdbinary.readouterr().out.splitlines()
    assert first == second


def test_errors_have_the_same_words_and_codes(
    daemon: PreparedDaemon, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    daemon.close()
    for argv in (["status", "--json"], ["exec", "main", "--", "true"]):
        doing = quick(argv)
        assert doing is not None
        assert guarded(doing) == main(argv) == 3
        out, err = capfdbinary.readouterr()
        half = len(err) // 2
        assert err[:half] == err[half:] != out == b""


@pytest.mark.parametrize(
    "line",
    [
        "",
        "status",
        "status --json --help",
        "--socket /x status --json",
        "exec main true",
        "exec main --",
        "exec -t main -- true",
        "exec --help -- true",
        "exec main -i -- true",
        "ps --json",
    ],
)
def test_whatever_more_is_on_the_line_is_left_to_the_whole_parser(line: str) -> None:
    assert quick(line.split()) is None


def test_it_loads_neither_a_parser_nor_typing() -> None:
    script = (
        "import sys; before = set(sys.modules); import deepd.cli.entry, deepd.cli.stream,"
        " deepd.client.connection, deepd.wire.octets, deepd.config.folders;"
        " print(*sorted({'argparse', 'typing', 'socket', 'pathlib', 'dataclasses', 'asyncio'}"
        " & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b""
