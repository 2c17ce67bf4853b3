"""What was ever sent over `/v1` must be understood forever."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from deepd import errors
from deepd.client.http import Reply, check
from deepd.client.operation import execute
from deepd.model import approval, call, event, files, grant, session
from deepd.wire import models
from deepd.wire.octets import unpack_line

FOLDER = Path(__file__).parent.parent / "golden" / "wire" / "v1"
GOLDEN = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
REPLIES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        call.Call,
        session.SessionView,
        approval.Approval,
        grant.Grant,
        event.Event,
        files.FileStat,
        files.Match,
    )
}

ADDED = {"Grant": {"left"}}
"""What a reply says beside the fields of its class."""


def chosen(key: str) -> list[str]:
    return [name for name, golden in GOLDEN.items() if key in golden]


@pytest.mark.parametrize("name", chosen("request"))
def test_a_request_of_old_is_still_accepted(name: str) -> None:
    model: type[models.RequestModel] = getattr(models, GOLDEN[name]["request"])
    body = GOLDEN[name]["body"]
    parsed = model.model_validate(body).model_dump(mode="json", exclude_unset=True)
    assert parsed == body


@pytest.mark.parametrize(
    "name", [name for name in chosen("reply") if GOLDEN[name]["reply"] in REPLIES]
)
def test_a_reply_keeps_every_field_it_ever_had(name: str) -> None:
    golden = GOLDEN[name]
    cls = REPLIES[golden["reply"]]
    known = {field.name for field in fields(cls)} | ADDED.get(cls.__name__, set())
    assert set(golden["body"]) <= known
    needed = {
        field.name
        for field in fields(cls)
        if field.default is MISSING and field.default_factory is MISSING
    }
    assert needed <= set(golden["body"]), "a new field of a reply has a default"


def test_an_exec_reply_of_old_is_read() -> None:
    parse = execute("main", {}).parse
    body = GOLDEN["reply-exec"]["body"]
    whole = parse(Reply(200, {}, json.dumps(body).encode()))
    assert (whole.stdout, whole.stderr, whole.output) == (b"out\n", b"\xff\n", b"out\n\xff\n")
    assert (whole.exit_code, whole.state) == (3, "finished")
    accepted = parse(Reply(202, {}, json.dumps(GOLDEN["reply-exec-accepted"]["body"]).encode()))
    assert (accepted.exit_code, accepted.state, accepted.output) == (None, "held", b"")


@pytest.mark.parametrize("name", [name for name in chosen("reply") if name.startswith("line-")])
def test_a_line_of_old_is_read(name: str) -> None:
    body = GOLDEN[name]["body"]
    line = unpack_line(dict(body))
    assert {key: line[key] for key in body} == body
    assert line.get("data") == (b"\xff\n" if name == "line-output" else None)


@pytest.mark.parametrize("name", chosen("problem"))
def test_a_problem_of_old_is_the_same_error(name: str) -> None:
    golden = GOLDEN[name]
    body = golden["body"]
    with pytest.raises(errors.DeepdError) as caught:
        check(Reply(body["status"], {}, json.dumps(body).encode()))
    error = caught.value
    assert type(error).__name__ == golden["problem"]
    assert (error.detail, error.next_step) == (body["detail"], body.get("next", ""))
    match error:
        case errors.FileError():
            assert error.errno_name == "ENOENT"
        case errors.CallTimeoutError():
            assert error.output == b"so far"
        case errors.ProfileError():
            assert error.problems == tuple(body["errors"])
        case _:
            pass


def test_there_is_a_golden_file_for_every_kind_of_request() -> None:
    covered = {GOLDEN[name]["request"] for name in chosen("request")}
    assert covered == {cls.__name__ for cls in models.RequestModel.__subclasses__()}
