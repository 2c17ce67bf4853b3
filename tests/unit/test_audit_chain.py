"""The audit trail: any change to any row is found, and the first one is named."""

from __future__ import annotations

import json
import sqlite3
from argparse import Namespace
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepd.cli import audit
from deepd.cli.main import main
from deepd.errors import NotFoundError
from deepd.model.audit import AuditRow, check_chain
from deepd.store.audit import read_audit
from deepd.store.store import Store

ROWS = 12


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with a trail, and no daemon."""
    monkeypatch.setenv("DEEPD_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("DEEPD_RUNTIME_DIR", str(tmp_path / "run"))
    with closing(Store.open(tmp_path / "state")) as store:
        for number in range(ROWS):
            store.append_audit(number + 0.5, "call_sent", f"{number:032x}", {"tool": "execute"})
    return tmp_path / "state"


def change(state: Path, sql: str) -> None:
    with closing(sqlite3.connect(state / "deepd.db")) as database:
        database.execute(sql)
        database.commit()


def verify(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    code = main(["audit", "verify", *args])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_a_whole_trail_holds_and_its_head_is_printed(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = verify(capsys)
    assert code == 0
    assert f"{ROWS} rows, 1 to {ROWS}" in text
    head = text.split()[-1]
    assert verify(capsys, "--head", head)[0] == 0


@pytest.mark.parametrize(
    ("sql", "row", "what"),
    [
        ('UPDATE audit SET body = \'{"tool":"ls"}\' WHERE id = 5', 5, "was changed"),
        ("UPDATE audit SET at = 9 WHERE id = 1", 1, "was changed"),
        ("UPDATE audit SET kind = 'call_ended' WHERE id = 12", 12, "was changed"),
        ("UPDATE audit SET call = '' WHERE id = 7", 7, "was changed"),
        ("DELETE FROM audit WHERE id = 4", 5, "row 4 is missing"),
        ("DELETE FROM audit WHERE id IN (4, 5, 6)", 7, "rows 4 to 6 are missing"),
        ("UPDATE audit SET prev_hash = hash WHERE id = 3", 3, "does not follow"),
    ],
)
def test_what_was_tampered_with_is_named(
    state: Path, capsys: pytest.CaptureFixture[str], sql: str, row: int, what: str
) -> None:
    change(state, sql)
    code, text = verify(capsys)
    assert code == 1
    assert f"row {row} of the audit trail" in text
    assert what in text


def test_a_trail_that_was_cut_or_rewritten_as_a_whole_is_told_by_an_earlier_head(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = verify(capsys)[1].split()[-1]
    change(state, f"DELETE FROM audit WHERE id > {ROWS - 3}")
    assert verify(capsys)[0] == 0  # the rest holds by itself
    code, text = verify(capsys, "--head", head)
    assert (code, "its end was cut off" in text) == (1, True)
    change(state, "DELETE FROM audit")
    with closing(Store.open(state)) as store:
        for number in range(ROWS):
            store.append_audit(number + 0.5, "call_sent", "", {"tool": "another"})
    code, text = verify(capsys, "--head", head)
    assert (code, f"row {ROWS} of the audit trail was rewritten" in text) == (1, True)


def test_the_beginning_may_be_forgotten_in_time(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(state, "DELETE FROM audit WHERE id < 6")
    assert verify(capsys)[0] == 0


def test_without_a_trail_there_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEEPD_STATE_DIR", str(tmp_path / "nothing"))
    monkeypatch.setenv("DEEPD_RUNTIME_DIR", str(tmp_path / "run"))
    code, text = verify(capsys)
    assert code == 4
    assert "there is no trail" in text


def test_json_tells_the_same(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(state, "UPDATE audit SET at = 9 WHERE id = 3")
    code, text = verify(capsys, "--json")
    found = json.loads(text)
    assert code == 1
    assert (found["ok"], found["broken"]["row"], found["rows"]) == (False, 3, 2)


def test_reading_the_trail_changes_nothing(state: Path) -> None:
    before = (state / "deepd.db").read_bytes()
    assert len(list(read_audit(state))) == ROWS
    assert (state / "deepd.db").read_bytes() == before
    with pytest.raises(NotFoundError):
        list(read_audit(state / "nowhere"))


def test_rows_are_shown_as_they_are_without_what_a_terminal_obeys(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store.open(state)) as store:
        store.append_audit(1.0, "call_sent", "ab" * 16, {"tool": "x\x1b[31m", "args": {"a": 1}})
    namespace = Namespace(action="show", after=ROWS, json=False, socket=None, closing=ExitStack())
    assert audit.run(namespace) == 0
    out = capsys.readouterr().out
    assert "\x1b[31m" not in out.replace("\x1b[2m", "")
    assert "tool=x" in out
    assert '{"a": 1}' in out


@given(st.data())
def test_no_change_to_a_row_goes_unnoticed(data: st.DataObject) -> None:
    rows = _chain(6)
    at = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(st.sampled_from(["at", "kind", "call", "body", "prev_hash", "hash"]))
    value = data.draw(st.floats(allow_nan=False) if field == "at" else st.text(max_size=70))
    changed = replace(rows[at], **{field: value})  # type: ignore[arg-type]
    rows[at], before = changed, rows[at]
    broken = check_chain(rows).broken
    if changed == before:
        assert broken is None
    else:
        assert broken is not None
        assert broken.row in (at + 1, at + 2)


def _chain(count: int) -> list[AuditRow]:
    from deepd.model.audit import START, digest

    rows: list[AuditRow] = []
    for number in range(1, count + 1):
        previous = rows[-1].hash if rows else START
        body = json.dumps({"n": number})
        hashed = digest(previous, number, 1.0, "call_sent", "", body)
        rows.append(AuditRow(number, 1.0, "call_sent", "", body, previous, hashed))
    return rows
